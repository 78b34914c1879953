{
  'variables': {
    # 0 where the C library has no static form; the addon is built without the launcher then, and sandboxes are refused.
    'static_c': '<!(printf "int main(void) { return 0; }" | ${CC:-cc} -static -x c -o /dev/null - 2> /dev/null && echo 1 || echo 0)',
  },
  'target_defaults': {
    'cflags': ['-std=gnu11', '-Wall', '-Wextra', '-Wno-unused-parameter', '-Wno-clobbered', '-O2'],
    'defines': ['_GNU_SOURCE'],
  },
  'targets': [
    {
      'target_name': 'exec_server_native',
      'sources': ['native/addon.c', 'native/spawn.c', 'native/poll.c', 'native/inotify.c', 'native/guard.c', 'native/tcp.c', 'native/sandbox.c', 'native/lock.c'],
      'defines': ['NAPI_VERSION=9'],
    },
    {
      # Beside the addon, and not of it: it outlives the process that the addon is loaded into.
      'target_name': 'exec-server-reaper',
      'type': 'executable',
      'sources': ['native/reaper.c'],
      'include_dirs!': ['<(node_root_dir)/include/node'],
      # It runs wherever the launcher does, whatever the age of the C library there.
      'conditions': [['OS=="linux" and static_c==1', {'ldflags': ['-static']}]],
    },
  ],
  'conditions': [
    [
      'OS=="linux" and static_c==1',
      {
        'targets': [
          {
            # Static, because it runs where the sandbox may show none of the host's libraries.
            'target_name': 'exec_server_confine',
            'type': 'executable',
            'sources': [
              'native/confine/main.c',
              'native/confine/spec.c',
              'native/confine/limits.c',
              'native/confine/privileges.c',
              'native/confine/landlock.c',
              'native/confine/filter.c',
              'native/confine/filter-refusals.c',
              'native/confine/filter-notifications.c',
              'native/confine/command.c',
              'native/confine/status.c',
              'native/confine/supervise.c',
              'native/confine/broker.c',
              'native/confine/broker-rules.c',
              'native/confine/broker-caller.c',
              'native/confine/broker-resolve.c',
              'native/confine/broker-open.c',
              'native/confine/broker-entries.c',
              'native/confine/broker-attributes.c',
            ],
            'cflags': ['-fstack-protector-strong', '-U_FORTIFY_SOURCE', '-D_FORTIFY_SOURCE=2'],
            'ldflags': ['-static', '-Wl,-z,relro,-z,now'],
          },
        ],
      },
    ],
  ],
}
