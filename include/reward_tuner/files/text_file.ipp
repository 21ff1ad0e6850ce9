// Definitions of text_file.hpp.
#pragma once
#include <reward_tuner/files/text_file.hpp>

#include <utf8proc.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

REWARD_TUNER_INLINE TextLines::TextLines(const std::filesystem::path& file)
    : name_(file.string()), text_(std::make_unique<std::ifstream>(file, std::ios::binary)) {
  const int problem = errno;
  REWARD_TUNER_CHECK(!std::filesystem::is_directory(file), "[TextFile] expected a text file, got a folder at ", name_);
  REWARD_TUNER_CHECK(text_->good(), "[TextFile] expected a readable text file, got none at ", name_, ": ",
                     std::generic_category().message(problem));
}

REWARD_TUNER_INLINE TextLines::TextLines(std::string text, std::string where)
    : name_(std::move(where)), text_(std::make_unique<std::istringstream>(std::move(text))) {}

REWARD_TUNER_INLINE bool TextLines::read_line(std::string& line) try {
  using Traits = std::istream::traits_type;
  std::streambuf& bytes = *text_->rdbuf();
  offset_ = end_;
  line.clear();
  auto c = bytes.sbumpc();
  if (c == Traits::eof()) return false;
  ++number_;
  for (; c != Traits::eof(); c = bytes.sbumpc()) {
    ++end_;
    if (c == '\n') return true;
    if (c == '\r') {
      if (bytes.sgetc() == '\n') {
        bytes.sbumpc();
        ++end_;
      }
      return true;
    }
    line.push_back(Traits::to_char_type(c));
  }
  return true;
} catch (const std::ios_base::failure& problem) {  // the stream would end silently, its buffer does not
  detail::fail("[TextFile] could not read ", name_, ": ", problem.code().message());
}

REWARD_TUNER_INLINE bool TextLines::next(std::string& line) {
  if (!read_line(line)) return false;
  REWARD_TUNER_CHECK(!line.starts_with("\xFF\xFE") && !line.starts_with("\xFE\xFF"), "[TextFile] ", where(),
                     ": expected UTF-8, got UTF-16; save the file as UTF-8");
  while (line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(line.data());
  const auto length = static_cast<utf8proc_ssize_t>(line.size());
  for (utf8proc_ssize_t at = 0; at < length;) {
    utf8proc_int32_t code = -1;
    const utf8proc_ssize_t used = utf8proc_iterate(bytes + at, length - at, &code);
    REWARD_TUNER_CHECK(used > 0 && code != 0, "[TextFile] ", where(), ": expected UTF-8, got the byte ",
                       static_cast<int>(bytes[at]), " at position ", at, "; save the file as UTF-8");
    at += used;
  }
  return true;
}

REWARD_TUNER_INLINE void TextLines::go_to(std::uint64_t offset, std::uint64_t number) {
  text_->clear();
  text_->seekg(static_cast<std::streamoff>(offset));
  offset_ = end_ = offset;
  number_ = number - 1;
}

REWARD_TUNER_INLINE std::string read_text_file(const std::filesystem::path& file) {
  TextLines lines(file);
  std::string text;
  for (std::string line; lines.next(line);) text += line + "\n";
  return text;
}

}  // namespace reward_tuner
