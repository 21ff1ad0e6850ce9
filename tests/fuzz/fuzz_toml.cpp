// libFuzzer target for rt-tune's settings files. Any text must give flags, each --name=value, or an error of the
// command line parser, which rt-tune turns into a sentence and exit code 2.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <sstream>
#include <string>

#include "examples/tune/config_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::istringstream text(std::string(reinterpret_cast<const char*>(data), size));
  try {
    for (const auto& flag : rt_tune::flags_from_settings(text, {"--updates"}, "input"))
      if (!flag.starts_with("--") || flag.find('=') == std::string::npos || flag.starts_with("--updates="))
        std::abort();
  } catch (const CLI::Error&) {
  }
  return 0;
}
