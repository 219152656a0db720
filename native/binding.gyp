{
  "variables": { "pcfs_sanitize%": 0 },
  "targets": [
    {
      "target_name": "pcfs",
      "sources": [
        "src/addon.cc",
        "src/addon_session.cc",
        "src/addon_content.cc",
        "src/crc32c.cc",
        "src/ranges.cc",
        "src/journal.cc",
        "src/local_file.cc",
        "src/inodes.cc",
        "src/dirents.cc",
        "src/slots.cc",
        "src/mounting.cc",
        "src/session.cc",
        "src/session_loop.cc",
        "src/session_init.cc",
        "src/session_names.cc",
        "src/session_data.cc",
        "src/session_answers.cc",
        "src/session_content.cc",
        "src/session_freeze.cc",
        "src/session_sync.cc",
        "src/session_notify.cc",
        "src/session_guards.cc"
      ],
      "include_dirs": ["<!@(node -p \"require('node-addon-api').include_dir\")"],
      "defines": ["NAPI_VERSION=9", "_FILE_OFFSET_BITS=64", "_GNU_SOURCE"],
      "cflags": ["-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers", "-O2", "-g1"],
      "cflags_cc": ["-std=c++17", "-fexceptions"],
      "cflags_cc!": ["-fno-exceptions", "-std=gnu++14", "-std=gnu++17", "-fno-rtti"],
      "cflags!": ["-O3"],
      "conditions": [
        [
          "pcfs_sanitize==1",
          {
            "cflags": ["-fsanitize=address,undefined", "-fno-omit-frame-pointer", "-O1"],
            "cflags_cc": ["-fno-sanitize=vptr"],
            "ldflags": ["-fsanitize=address,undefined"]
          }
        ]
      ]
    }
  ]
}
