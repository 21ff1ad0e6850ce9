// libFuzzer target for the tokenizer folder and the texts it encodes. The input is up to five parts between bytes 0x1E:
// vocab.json, merges.txt, tokenizer_config.json, tokenizer.json and a text; an empty part is a missing file. Any input
// must give ids of the vocabulary or a reward_tuner::Error.
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/models/clip_tokenizer.hpp>

namespace {

namespace rt = reward_tuner;

void demand(bool promise) {
  if (!promise) std::abort();
}

/// A folder of this process, removed at its end.
struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("reward-tuner-fuzz-" + std::to_string(::getpid()));
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

void check_ids(const rt::ClipTokenizer& tokenizer, const std::string& text) {
  const auto ids = tokenizer.encode(text);
  demand(ids.size() >= 2 && ids.front() == tokenizer.bos_id() && ids.back() == tokenizer.eos_id());
  demand(ids.size() <= 8 * text.size() + 2);  // a character's normal form has a few bytes, a byte at most one id
  for (const auto id : ids) demand(id >= 0 && id <= INT32_MAX);
  const auto rows = tokenizer({text, ""}, 5);
  demand(rows.size(0) == 2 && rows.size(1) == 5);
  std::int64_t behind = 1;
  for (const auto& word : tokenizer.words(text, 5)) {  // within the five, beside start and end
    demand(word.first >= behind && word.count >= 1);
    behind = word.first + word.count;
    demand(behind <= 4);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  std::array<std::string, 5> parts;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::size_t end = i + 1 < parts.size() ? rest.find('\x1e') : std::string_view::npos;
    parts[i] = rest.substr(0, end);
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  constexpr std::array<const char*, 4> kFiles{"vocab.json", "merges.txt", "tokenizer_config.json", "tokenizer.json"};
  for (std::size_t i = 0; i < kFiles.size(); ++i) {
    if (parts[i].empty()) std::filesystem::remove(folder.path / kFiles[i]);
    else std::ofstream(folder.path / kFiles[i], std::ios::binary | std::ios::trunc) << parts[i];
  }
  try {
    const auto tokenizer = rt::ClipTokenizer::load(folder.path);
    demand(!tokenizer.model_max_length() || *tokenizer.model_max_length() > 0);
    check_ids(tokenizer, parts[4]);
  } catch (const rt::Error&) {
  }
  return 0;
}
