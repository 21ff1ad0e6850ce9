// libFuzzer target for the safetensors header parser; links without LibTorch. Any input must give a sound table or a
// reward_tuner::Error. Build: clang++ -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -Iinclude
// tests/fuzz/fuzz_safetensors.cpp -o fuzz_safetensors
// Run:   ./fuzz_safetensors -dict=tests/fuzz/safetensors.dict new_corpus tests/fuzz/corpus/safetensors
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <string_view>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/safetensors_header.hpp>

namespace {

/// Parses; aborts if an accepted table breaks a promise. Whether the file was accepted.
bool accepted(std::string_view file) {
  using reward_tuner::SafetensorsHeader;
  try {
    const auto header = SafetensorsHeader::parse(file, "input");
    std::uint64_t next = 0;
    std::set<std::string> names;
    for (const auto& entry : header.entries) {
      const auto* dtype = reward_tuner::find_safetensors_dtype(entry.dtype);
      if (dtype == nullptr || entry.begin != next || entry.end < entry.begin || !names.insert(entry.name).second)
        std::abort();
      std::uint64_t bytes = dtype->bytes;
      for (const auto size : entry.shape) {
        if (size < 0 || __builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes)) std::abort();
      }
      if (bytes != entry.end - entry.begin) std::abort();
      next = entry.end;
    }
    if (header.data_begin + next != file.size()) std::abort();
    return true;
  } catch (const reward_tuner::Error& error) {
    if (std::strlen(error.what()) > 2000) std::abort();  // a message must not echo a hostile name of any length
    return false;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  accepted(input);
  // The same bytes as the text of a header with the right length in front and as many data bytes as the last byte says:
  // without this most mutations would die at the length check.
  std::string file(8, '\0');
  const std::uint64_t length = size;
  std::memcpy(file.data(), &length, 8);
  file += input;
  accepted(file);
  if (size > 1 && input.back() != '}') {
    const std::uint64_t text = size - 1;
    std::memcpy(file.data(), &text, 8);
    file.resize(8 + text);
    file.append(static_cast<unsigned char>(input.back()), 'd');
    accepted(file);
  }
  return 0;
}
