{
  'targets': [
    {
      'target_name': 'exec_server_native',
      'sources': ['native/addon.c', 'native/spawn.c', 'native/poll.c', 'native/inotify.c'],
      'cflags': ['-std=gnu11', '-Wall', '-Wextra', '-Wno-unused-parameter', '-Wno-clobbered', '-O2'],
      'defines': ['NAPI_VERSION=9', '_GNU_SOURCE'],
    },
  ],
}
