{
  'targets': [
    {
      'target_name': 'exec_server_native',
      'sources': ['native/addon.c', 'native/spawn.c', 'native/poll.c', 'native/inotify.c', 'native/guard.c', 'native/tcp.c'],
      'cflags': ['-std=gnu11', '-Wall', '-Wextra', '-Wno-unused-parameter', '-Wno-clobbered', '-O2'],
      'defines': ['NAPI_VERSION=9', '_GNU_SOURCE'],
    },
    {
      # Beside the addon, and not of it: it outlives the process that the addon is loaded into.
      'target_name': 'exec-server-reaper',
      'type': 'executable',
      'sources': ['native/reaper.c'],
      'include_dirs!': ['<(node_root_dir)/include/node'],
      'cflags': ['-std=gnu11', '-Wall', '-Wextra', '-Wno-clobbered', '-O2'],
      'defines': ['_GNU_SOURCE'],
    },
  ],
}
