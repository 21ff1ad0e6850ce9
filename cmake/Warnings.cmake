# Warnings and sanitizers of our own programs. Never exported to host projects.
add_library(reward_tuner_warnings INTERFACE)
target_compile_options(reward_tuner_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wno-unknown-pragmas)
if(REWARDTUNER_SANITIZE)
  target_compile_options(reward_tuner_warnings INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined
                         -fno-omit-frame-pointer
                         # the instrumentation makes gcc warn about impossible paths
                         $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(reward_tuner_warnings INTERFACE -fsanitize=address,undefined)
endif()
