// libFuzzer target for rt-tune's settings files. Any text must give keys with values, or an error of the library, which
// rt-tune turns into a sentence and exit code 2.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "examples/tune/toml_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    for (const auto& entry : rt_tune::toml_entries(text, "input"))
      if (entry.key.empty() || entry.values.empty() || !entry.where.starts_with("input:")) std::abort();
  } catch (const reward_tuner::Error&) {
  }
  return 0;
}
