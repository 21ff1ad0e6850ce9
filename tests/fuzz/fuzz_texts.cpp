// libFuzzer target for what others write and we read as text: prompt files in every format, a server's answers, a
// LoRA's adapter_config.json. The first byte picks the kind, the rest is the text. Any text must give what its reader
// promises, or a reward_tuner::Error.
#include <unistd.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/lora/peft_config.hpp>
#include <reward_tuner/rewards/remote_options.hpp>
#include <reward_tuner/rewards/remote_protocol.hpp>
#include <reward_tuner/run/prompt_file.hpp>

namespace {

namespace rt = reward_tuner;

void demand(bool promise) {
  if (!promise) std::abort();
}

/// A file of this process, removed at its end.
struct File {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("reward-tuner-fuzz-text-" + std::to_string(::getpid()));
  ~File() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
};

/// Every prompt has a place of its own, to which the reader finds back.
void read_prompts(const std::string& text, rt::PromptFormat format) {
  static const File file;
  std::ofstream(file.path, std::ios::binary | std::ios::trunc) << text;
  rt::PromptReader reader(file.path, {.format = format});
  struct Place {
    std::uint64_t offset, number;
    std::string prompt;
  };
  std::vector<Place> places;
  while (reader.next()) {
    demand(places.empty() || (reader.offset() > places.back().offset && reader.number() > places.back().number));
    demand(!reader.prompt().empty() || format == rt::PromptFormat::kJson || format == rt::PromptFormat::kJsonl);
    places.push_back({reader.offset(), reader.number(), reader.prompt()});
  }
  for (auto place = places.rbegin(); place != places.rend(); ++place) {
    reader.go_to(place->offset, place->number);
    demand(reader.next() && reader.prompt() == place->prompt && reader.number() == place->number);
  }
}

void demand_score(const rt::RemoteScore& score) {
  demand(!score.failure.empty() || std::isfinite(score.value));
  for (const auto& [name, value] : score.metrics) demand(std::isfinite(value));
}

void read_scores(const std::string& answer) {
  const rt::ScoresProtocol protocol({});
  const std::vector<rt::RemoteImage> images{{"a", "a cat", ""}, {"b", "a dog", ""}};
  const auto scores = protocol.scores(answer, images);
  demand(scores.size() == images.size());
  for (const auto& score : scores) demand_score(score);
}

void read_chat(const std::string& answer) {
  static const rt::ChatProtocol numbers({.model = "judge"});
  static const rt::ChatProtocol words({.model = "judge", .pattern = "yes|no", .answers = {{"yes", 1}, {"no", 0}}});
  std::string said;
  if (!rt::ChatProtocol::text(answer, said).failure.empty()) return;
  demand_score(numbers.score(said));
  demand_score(words.score(said));
}

void read_peft(const std::string& text) {
  const auto config = rt::PeftConfig::parse(text, "input", "unet");
  if (!config.given()) return;
  for (const char* layer : {"down_blocks.0.attentions.0.to_q", "mid_block.to_k"})
    for (const std::int64_t rank : {1, 4}) demand(std::isfinite(config.scale(layer, rank)));
}

void read(char kind, const std::string& text) {
  switch (kind) {
    case 'l':
      return read_prompts(text, rt::PromptFormat::kLines);
    case 'j':
      return read_prompts(text, rt::PromptFormat::kJsonl);
    case 'a':
      return read_prompts(text, rt::PromptFormat::kJson);
    case 'c':
      return read_prompts(text, rt::PromptFormat::kCsv);
    case 't':
      return read_prompts(text, rt::PromptFormat::kTsv);
    case 's':
      return read_scores(text);
    case 'm':
      return read_chat(text);
    default:
      return read_peft(text);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  try {
    read(static_cast<char>(data[0]), std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
  } catch (const rt::Error&) {
  }
  return 0;
}
