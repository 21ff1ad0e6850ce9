// Definitions of clip_tokenizer_files.hpp.
#pragma once
#include <reward_tuner/text/clip_tokenizer_files.hpp>

#include <sstream>

#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/files/file_bytes.hpp>

namespace reward_tuner {

namespace detail {

REWARD_TUNER_INLINE std::pair<std::string, std::string> tokenizer_merge(const std::string& line,
                                                                        const std::string& where) {
  const std::size_t space = line.find(' ');
  REWARD_TUNER_CHECK(space != std::string::npos && line.find(' ', space + 1) == std::string::npos,
                     "[Tokenizer] a merge in ", where, " must be two tokens and one space, got \"", line, "\"");
  return {line.substr(0, space), line.substr(space + 1)};
}

REWARD_TUNER_INLINE BytePairMerges tokenizer_merges(const std::filesystem::path& path) {
  std::istringstream file(read_bytes(path));
  BytePairMerges merges;
  for (std::string line; std::getline(file, line);) {
    if (line.ends_with('\r')) line.pop_back();
    if (merges.empty() && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);  // a byte order mark
    if (!line.starts_with("#version")) merges.push_back(tokenizer_merge(line, path.string()));
  }
  return merges;
}

REWARD_TUNER_INLINE TokenizerFolder clip_tokenizer_folder(const std::filesystem::path& folder) {
  const ClipTokenizerOptions published;
  return TokenizerFolder::read(folder, {{"bos_token", published.bos.text},
                                        {"eos_token", published.eos.text},
                                        {"unk_token", published.unk.text},
                                        {"pad_token", published.pad.text}});
}

REWARD_TUNER_INLINE ClipTokenizerOptions tokenizer_options(TokenizerFolder said, const std::filesystem::path& folder) {
  for (const char* name : {"add_bos_token", "add_eos_token"})
    REWARD_TUNER_CHECK(said.config.value(name, nlohmann::json(true)) == true, "[Tokenizer] ", folder.string(), ": ",
                       name, " must be true, got ", said.config[name].dump());
  return {.bos = said.roles.at("bos_token"),
          .eos = said.roles.at("eos_token"),
          .unk = said.roles.at("unk_token"),
          .pad = said.roles.at("pad_token"),
          .model_max_length = said.model_max_length,
          .added = std::move(said.added)};
}

}  // namespace detail

}  // namespace reward_tuner
