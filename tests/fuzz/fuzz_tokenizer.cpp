// libFuzzer target for tokenizer folders, of CLIP and of BERT, and the texts they encode. The input is up to six parts
// between bytes 0x1E: vocab.json, merges.txt (BERT's vocab.txt as well), tokenizer_config.json, tokenizer.json, a text
// and added_tokens.json; an empty part is a missing file. Any input must give ids of the vocabulary or a
// reward_tuner::Error.
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/text/clip_tokenizer.hpp>
#include <reward_tuner/text/word_piece.hpp>

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
  demand(!tokenizer.model_max_length() || *tokenizer.model_max_length() > 0);
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

void check_ids(const rt::WordPieceTokenizer& tokenizer, const std::string& text) {
  const auto ids = tokenizer.encode(text);
  demand(ids.size() >= 2 && ids.front() == tokenizer.start_id() && ids.back() == tokenizer.end_id());
  demand(ids.size() <= 8 * text.size() + 2);
  for (const auto id : ids) demand(id >= 0 && id < tokenizer.vocab_size());
  demand(tokenizer({text, ""}, 5).ids.size(1) == 5);
}

template <class Tokenizer>
void read(const std::filesystem::path& folder, const std::string& text) {
  try {
    check_ids(Tokenizer::load(folder), text);
  } catch (const rt::Error&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  std::array<std::string, 6> parts;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::size_t end = i + 1 < parts.size() ? rest.find('\x1e') : std::string_view::npos;
    parts[i] = rest.substr(0, end);
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  const std::array<std::pair<const char*, const std::string&>, 6> files{{{"vocab.json", parts[0]},
                                                                         {"merges.txt", parts[1]},
                                                                         {"vocab.txt", parts[1]},
                                                                         {"tokenizer_config.json", parts[2]},
                                                                         {"tokenizer.json", parts[3]},
                                                                         {"added_tokens.json", parts[5]}}};
  for (const auto& [name, text] : files) {
    if (text.empty()) std::filesystem::remove(folder.path / name);
    else std::ofstream(folder.path / name, std::ios::binary | std::ios::trunc) << text;
  }
  read<rt::ClipTokenizer>(folder.path, parts[4]);
  read<rt::WordPieceTokenizer>(folder.path, parts[4]);
  return 0;
}
