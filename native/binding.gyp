{
  "variables": { "sanitize%": "" },
  "target_defaults": {
    "cflags": ["-fvisibility=hidden"],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-O3"],
    "cflags_cc": ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-O2", "-fno-exceptions"],
    "conditions": [
      ["sanitize!=''", {
        "cflags_cc": ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g", "-O1"],
        "ldflags": ["-fsanitize=address,undefined"]
      }]
    ]
  },
  "targets": [
    {
      "target_name": "membroker",
      "sources": [
        "src/addon.cc",
        "src/async_call.cc",
        "src/blake3.cc",
        "src/crc32c.cc",
        "src/dax_device.cc",
        "src/dax_glue.cc",
        "src/digest.cc",
        "src/environment.cc",
        "src/fault_guard.cc",
        "src/live_update.cc",
        "src/live_update_glue.cc",
        "src/mapping.cc",
        "src/memory_file.cc",
        "src/memory_glue.cc",
        "src/mount.cc",
        "src/mount_glue.cc",
        "src/process.cc",
        "src/process_glue.cc",
        "src/readable_watch_glue.cc",
        "src/scrub.cc",
        "src/socket_glue.cc",
        "src/spawn.cc",
        "src/sweep.cc",
        "src/sweep_glue.cc",
        "src/table_map.cc",
        "src/table_map_glue.cc",
        "src/tap.cc",
        "src/unix_socket.cc",
        "src/window_glue.cc"
      ],
      "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
      "defines": [
        "NAPI_VERSION=8",
        "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
      ]
    },
    {
      "target_name": "membroker-launcher",
      "type": "executable",
      "product_extension": "",
      "sources": ["src/file_pages.cc", "src/launcher_main.cc", "src/process.cc", "src/unix_socket.cc"],
      "ldflags!": ["-rdynamic"]
    },
    {
      "target_name": "membroker-worker",
      "type": "executable",
      "product_extension": "",
      "sources": [
        "src/fault_guard.cc",
        "src/holders.cc",
        "src/live_update.cc",
        "src/present_pages.cc",
        "src/unix_socket.cc",
        "src/worker_main.cc"
      ],
      "ldflags!": ["-rdynamic"]
    }
  ]
}
