// Definitions of clip_vocabulary.hpp.
#pragma once
#include <reward_tuner/text/clip_vocabulary.hpp>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/atomic_file.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/files/output_path.hpp>
#include <reward_tuner/text/clip_merges.ipp>

namespace reward_tuner {

REWARD_TUNER_INLINE ClipTokenizerFiles clip_vocabulary(const std::string& pad) {
  // The bytes' characters by code point, the same at the end of a word, then each merge's token.
  auto characters = BytePairEncoding::byte_characters();
  std::sort(characters.begin(), characters.end());
  std::vector<std::string> tokens(characters.begin(), characters.end());
  for (const std::string& character : characters) tokens.push_back(character + "</w>");
  ClipTokenizerFiles files;
  constexpr std::size_t kDigits = 5;
  for (const std::string_view text : detail::kClipMerges)
    for (std::size_t at = 0; at < text.size(); at += kDigits) {
      std::uint64_t merge = 0;
      for (const char c : text.substr(at, kDigits))
        merge = merge * 85 + static_cast<std::uint64_t>(c - '#' - (c > '?' ? 1 : 0) - (c > '\\' ? 1 : 0));
      files.merges.emplace_back(tokens.at(merge >> 16), tokens.at(merge & 0xFFFF));
      tokens.push_back(files.merges.back().first + files.merges.back().second);
    }
  // as in the published folders: found in any case, but the pad as it is written, whose flag counts if it is the end
  ClipTokenizerOptions& o = files.options;
  for (SpecialToken* token : {&o.bos, &o.eos, &o.unk}) token->normalized = true;
  o.pad.text = pad;
  o.model_max_length = 77;
  tokens.push_back(o.bos.text);
  tokens.push_back(o.eos.text);
  for (std::size_t id = 0; id < tokens.size(); ++id)
    files.vocabulary.emplace(std::move(tokens[id]), static_cast<std::int64_t>(id));
  return files;
}

REWARD_TUNER_INLINE void write_tokenizer(const std::filesystem::path& folder, const ClipTokenizerFiles& files) {
  const ClipTokenizerOptions& o = files.options;
  for (const SpecialToken& token : o.added)
    REWARD_TUNER_CHECK(
        token.text == o.bos.text || token.text == o.eos.text || token.text == o.unk.text || token.text == o.pad.text,
        "[Tokenizer] expected a vocabulary without added tokens to write, got \"", token.text, "\"");
  prepare_output_folder(folder);
  write_file_atomically(folder / "vocab.json", nlohmann::json(files.vocabulary).dump() + "\n");
  std::string merges = "#version: 0.2\n";
  for (const auto& [left, right] : files.merges) merges += left + ' ' + right + '\n';
  write_file_atomically(folder / "merges.txt", merges);
  nlohmann::json special, config{{"tokenizer_class", "CLIPTokenizer"}, {"add_prefix_space", false}};
  for (const auto& [role, token] : {std::pair{"bos_token", &o.bos}, std::pair{"eos_token", &o.eos},
                                    std::pair{"unk_token", &o.unk}, std::pair{"pad_token", &o.pad}}) {
    special[role] = {{"content", token->text},
                     {"lstrip", false},
                     {"normalized", token->normalized},
                     {"rstrip", false},
                     {"single_word", false}};
    config[role] = token->text;
  }
  if (o.model_max_length) config["model_max_length"] = *o.model_max_length;
  write_json(folder / "special_tokens_map.json", special);
  write_json(folder / "tokenizer_config.json", config);
}

}  // namespace reward_tuner
