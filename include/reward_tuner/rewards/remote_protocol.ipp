// Definitions of remote_protocol.hpp.
#pragma once
#include <reward_tuner/rewards/remote_protocol.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>
#include <reward_tuner/core/fill_in.hpp>
#include <reward_tuner/core/lower_ascii.hpp>
#include <reward_tuner/files/json_config.hpp>

namespace reward_tuner {

namespace detail {

REWARD_TUNER_INLINE std::string remote_excerpt(std::string_view text) {
  constexpr std::size_t kShown = 160;
  std::string shown(text.substr(0, kShown));
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return "'" + shown + (text.size() > kShown ? "..." : "") + "'";
}

/// Text that JSON can hold.
inline bool is_utf8(const std::string& text) {
  try {
    return !nlohmann::json(text).dump().empty();
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

inline std::string remote_dump(const nlohmann::json& body, const std::vector<std::string>& prompts) {
  try {
    return body.dump();
  } catch (const nlohmann::json::type_error&) {  // what the body has beside our own text
    const auto wrong = std::find_if_not(prompts.begin(), prompts.end(), is_utf8);
    REWARD_TUNER_CHECK(wrong == prompts.end(), "[RemoteReward] expected prompts in UTF-8, got ",
                       remote_excerpt(*wrong));
    fail(
        "[RemoteReward] expected options in UTF-8, got other bytes in the reward's name, the model's name, the system "
        "message or the question");
  }
}

/// Parses an answer; `failure` says why it is none. Python's bare NaN and infinities become text.
inline nlohmann::json remote_parse(const std::string& answer, std::string& failure) {
  try {
    nlohmann::json json = parse_json(quote_bare_numbers(answer), "the answer");
    if (json.is_object()) return json;
  } catch (const Error&) {  // the excerpt says more than the parser
  }
  failure = "expected a JSON object, got " + remote_excerpt(answer);
  return {};
}

}  // namespace detail

REWARD_TUNER_INLINE std::string base64(const std::string& bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j)
      group = group << 8U | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    for (std::size_t j = 0; j < 4; ++j) text += j <= count ? kDigits[group >> (18U - 6U * j) & 63U] : '=';
  }
  return text;
}

REWARD_TUNER_INLINE std::string ScoresProtocol::request(const std::vector<RemoteImage>& images) const {
  nlohmann::json requests = nlohmann::json::array();
  std::vector<std::string> prompts;
  for (const RemoteImage& image : images) {
    const nlohmann::json turn{{"text", image.prompt}, {"image_b64", image.png}};
    requests.push_back({{"history", nlohmann::json::array({turn})},
                        {"required_rewards", nlohmann::json::array({reward_})},
                        {"metadata", {{"id", image.id}}}});
    prompts.push_back(image.prompt);
  }
  return detail::remote_dump({{"requests", std::move(requests)}}, prompts);
}

REWARD_TUNER_INLINE std::vector<RemoteScore> ScoresProtocol::scores(const std::string& answer,
                                                                    const std::vector<RemoteImage>& images) const {
  std::vector<RemoteScore> out(images.size());
  const auto all_fail = [&](const std::string& why) {
    for (RemoteScore& score : out) score.failure = why;
    return out;
  };
  std::string failure;
  const nlohmann::json json = detail::remote_parse(answer, failure);
  if (!failure.empty()) return all_fail(failure);
  const auto list = [&](const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_array() ? *found : nlohmann::json();
  };
  const nlohmann::json results = list("results"), errors = list("errors"), ids = list("ids");
  if (results.size() != images.size() || (!errors.is_null() && errors.size() != images.size()) ||
      (!ids.is_null() && ids.size() != images.size()))
    return all_fail("expected " + std::to_string(images.size()) + " results, got " + std::to_string(results.size()) +
                    (ids.is_null() ? "" : " with " + std::to_string(ids.size()) + " ids") + " in " +
                    detail::remote_excerpt(answer));
  std::vector<std::size_t> place(images.size());  // of the answers' images
  std::set<std::size_t> seen;
  for (std::size_t i = 0; i < images.size(); ++i) {
    place[i] = i;
    if (ids.is_null()) continue;
    const auto found = std::find_if(images.begin(), images.end(), [&](const RemoteImage& image) {
      return ids[i].is_string() && ids[i].get_ref<const std::string&>() == image.id;
    });
    place[i] = static_cast<std::size_t>(found - images.begin());
    if (found == images.end() || !seen.insert(place[i]).second)
      return all_fail("expected the ids of the images that were sent, each once, got " +
                      detail::remote_excerpt(ids.dump()));
  }
  for (std::size_t i = 0; i < images.size(); ++i) {
    RemoteScore& score = out[place[i]];
    if (errors.is_array() && errors[i].is_object())
      if (const auto error = errors[i].find(reward_); error != errors[i].end()) {
        score.failure =
            "the server said " + detail::remote_excerpt(error->is_string() ? error->get<std::string>() : error->dump());
        continue;
      }
    const auto own = results[i].is_object() ? results[i].find(reward_) : results[i].end();
    if (!results[i].is_object() || own == results[i].end() || !own->is_object() || own->empty()) {
      score.failure =
          "expected numbers of the reward " + reward_ + ", got " + detail::remote_excerpt(results[i].dump());
      continue;
    }
    std::string chosen = metric_;
    if (chosen.empty()) chosen = own->size() == 1 ? own->begin().key() : reward_;
    if (!own->contains(chosen))
      detail::fail("[RemoteReward] ",
                   metric_.empty() ? "the reward has several numbers: expected one's name in metric"
                                   : "metric expected one of the reward's numbers",
                   ", got '", metric_, "' for ", detail::remote_excerpt(own->dump()));
    for (const auto& [name, number] : own->items()) {
      if (!number.is_number() || !std::isfinite(number.get<double>())) {
        score.failure = "expected a finite number as " + name + ", got " + detail::remote_excerpt(number.dump());
        break;
      }
      if (name == chosen) score.value = number.get<double>();
      else score.metrics.emplace(name, number.get<double>());
    }
  }
  return out;
}

REWARD_TUNER_INLINE ChatProtocol::ChatProtocol(ChatOptions options) : options_(std::move(options)) {
  REWARD_TUNER_CHECK(!options_.model.empty(), "[RemoteReward] chat.model expected the model's name, got none");
  check_options(options_);
  try {
    pattern_ = std::regex(options_.pattern, std::regex::ECMAScript | std::regex::icase);
  } catch (const std::regex_error& e) {
    detail::fail("[RemoteReward] chat.pattern expected a regular expression, got '", options_.pattern, "': ", e.what());
  }
}

REWARD_TUNER_INLINE std::string ChatProtocol::request(const RemoteImage& image) const {
  nlohmann::json messages = nlohmann::json::array();
  if (!options_.system.empty()) messages.push_back({{"role", "system"}, {"content", options_.system}});
  const nlohmann::json shown{{"type", "image_url"}, {"image_url", {{"url", "data:image/png;base64," + image.png}}}},
      asked{{"type", "text"}, {"text", fill_in(options_.question, "{prompt}", image.prompt)}};
  messages.push_back({{"role", "user"}, {"content", nlohmann::json::array({shown, asked})}});
  return detail::remote_dump({{"model", options_.model},
                              {"messages", std::move(messages)},
                              {"max_tokens", options_.max_tokens},
                              {"temperature", options_.temperature}},
                             {image.prompt});
}

REWARD_TUNER_INLINE RemoteScore ChatProtocol::text(const std::string& answer, std::string& said) {
  RemoteScore out;
  const nlohmann::json json = detail::remote_parse(answer, out.failure);
  if (!out.failure.empty()) return out;
  const nlohmann::json::json_pointer place("/choices/0/message/content");
  // contains() of a pointer into something else than lists and objects throws in some versions
  try {
    if (const nlohmann::json& content = json.at(place); content.is_string()) {
      said = content.get<std::string>();
      return out;
    }
  } catch (const nlohmann::json::exception&) {
  }
  out.failure = "expected choices[0].message.content, got " + detail::remote_excerpt(answer);
  return out;
}

REWARD_TUNER_INLINE RemoteScore ChatProtocol::score(const std::string& said) const {
  constexpr std::size_t kLongest = 8192;  // std::regex calls itself once a character
  RemoteScore out;
  std::smatch found;
  if (said.size() > kLongest || !std::regex_search(said, found, pattern_)) {
    out.failure = "expected an answer that the pattern finds, got " + detail::remote_excerpt(said);
    return out;
  }
  const std::string text = found.size() > 1 ? found.str(1) : found.str(0);
  if (!options_.answers.empty()) {
    for (const ScoredAnswer& answer : options_.answers)
      if (lower_ascii(answer.text) == lower_ascii(text)) {
        out.value = answer.score;
        return out;
      }
    out.failure = "expected one of the answers, got " + detail::remote_excerpt(text);
    return out;
  }
  const char* begin = text.data() + (text.starts_with('+') ? 1 : 0);
  const auto [end, problem] = std::from_chars(begin, text.data() + text.size(), out.value);
  if (problem != std::errc() || end != text.data() + text.size() || !(out.value >= options_.low) ||
      !(out.value <= options_.high))
    out.failure = "expected a number in [" + std::to_string(options_.low) + ", " + std::to_string(options_.high) +
                  "], got " + detail::remote_excerpt(text);
  return out;
}

}  // namespace reward_tuner
