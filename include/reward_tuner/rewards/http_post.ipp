// Definitions of http_post.hpp.
#pragma once
#include <reward_tuner/rewards/http_post.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <mutex>
#include <string_view>
#include <utility>

#if !__has_include(<curl/curl.h>)
#error "[RewardTuner] remote rewards need libcurl (Debian: libcurl4-openssl-dev); find_package(RewardTuner) links it"
#endif
#include <curl/curl.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/compiled.hpp>

namespace reward_tuner {

/// Idle handles, each with its connection.
struct HttpPost::Connections {
  struct Close {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  };
  using Handle = std::unique_ptr<CURL, Close>;

  std::mutex mutex;
  std::vector<Handle> idle;

  Handle take() {
    {
      const std::lock_guard lock(mutex);
      if (!idle.empty()) {
        Handle handle = std::move(idle.back());
        idle.pop_back();
        return handle;
      }
    }
    // once for all threads: libcurl's own initialization is not safe among them in every version
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    Handle handle(ready == CURLE_OK ? curl_easy_init() : nullptr);
    REWARD_TUNER_CHECK(handle != nullptr, "[HttpPost] libcurl could not start: expected a handle, got none");
    return handle;
  }
  void keep(Handle handle) {
    const std::lock_guard lock(mutex);
    idle.push_back(std::move(handle));
  }
};

namespace detail {

/// Where an answer is collected.
struct HttpBody {
  std::string& bytes;
  std::size_t limit;
  bool cut = false;
};

// libcurl takes another number than that it gave for an error
inline std::size_t http_collect(const char* data, std::size_t size, std::size_t count, void* target) {
  auto& body = *static_cast<HttpBody*>(target);
  body.cut = size * count > body.limit - body.bytes.size();
  if (body.cut) return 0;
  body.bytes.append(data, size * count);
  return size * count;
}

inline long http_milliseconds(double seconds) {
  return static_cast<long>(std::ceil(std::clamp(seconds, 0.001, 1e6) * 1000));  // 0 would be no limit
}

/// What every call sets; options of an earlier one are gone.
inline void http_prepare(CURL* handle, const std::string& url, const HttpOptions& options, double within,
                         char* reason) {
  curl_easy_reset(handle);
  reason[0] = '\0';
  const auto set = [&](CURLoption option, auto value) {
    const CURLcode code = curl_easy_setopt(handle, option, value);
    REWARD_TUNER_CHECK(code == CURLE_OK, "[HttpPost] expected a libcurl that knows option ", static_cast<int>(option),
                       ", got: ", curl_easy_strerror(code));
  };
  set(CURLOPT_ERRORBUFFER, reason);
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_NOSIGNAL, 1L);  // threads
#if LIBCURL_VERSION_NUM >= 0x075500
  set(CURLOPT_PROTOCOLS_STR, "http,https");
#else
  set(CURLOPT_PROTOCOLS, static_cast<long>(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
  set(CURLOPT_TIMEOUT_MS, http_milliseconds(std::min(options.timeout_seconds, within)));
  set(CURLOPT_CONNECTTIMEOUT_MS, http_milliseconds(options.connect_seconds));
  if (!options.proxy_from_environment) set(CURLOPT_PROXY, "");
}

inline CURLcode http_perform(CURL* handle) {
  const CURLcode code = curl_easy_perform(handle);
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, nullptr);  // the handle outlives the buffer
  return code;
}

inline std::string http_reason(CURLcode code, const char* reason) {
  return reason[0] != '\0' ? reason : curl_easy_strerror(code);
}

}  // namespace detail

REWARD_TUNER_INLINE HttpPost::HttpPost(std::string url, HttpOptions options)
    : url_(std::move(url)), options_(std::move(options)), connections_(std::make_shared<Connections>()) {
  const auto after = [&](std::string_view scheme) { return url_.starts_with(scheme) && url_.size() > scheme.size(); };
  REWARD_TUNER_CHECK(after("http://") || after("https://"),
                     "[HttpPost] expected an address http://... or https://..., "
                     "got '",
                     url_, "'");
  for (const auto& [name, seconds] :
       {std::pair("timeout_seconds", options_.timeout_seconds), {"connect_seconds", options_.connect_seconds}})
    REWARD_TUNER_CHECK(seconds > 0 && std::isfinite(seconds), "[HttpPost] ", name, " must be > 0, got ", seconds);
}

REWARD_TUNER_INLINE HttpAnswer HttpPost::post(const std::string& json, double within) const {
  Connections::Handle handle = connections_->take();
  char reason[CURL_ERROR_SIZE];
  detail::http_prepare(handle.get(), url_, options_, within, reason);
  struct FreeLines {
    void operator()(curl_slist* lines) const { curl_slist_free_all(lines); }
  };
  std::unique_ptr<curl_slist, FreeLines> lines;
  const auto add = [&](const std::string& line) {
    curl_slist* longer = curl_slist_append(lines.get(), line.c_str());
    REWARD_TUNER_CHECK(longer != nullptr, "[HttpPost] libcurl is out of memory: expected a header line, got none");
    lines.release();
    lines.reset(longer);
  };
  add("Content-Type: application/json");
  add("Accept: application/json");
  add("Expect:");  // a large body would wait a second for leave to be sent
  for (const std::string& line : options_.headers) add(line);
  HttpAnswer answer;
  detail::HttpBody body{answer.body, options_.answer_bytes};
  curl_easy_setopt(handle.get(), CURLOPT_HTTPHEADER, lines.get());
  curl_easy_setopt(handle.get(), CURLOPT_POST, 1L);
  curl_easy_setopt(handle.get(), CURLOPT_POSTFIELDS, json.data());
  curl_easy_setopt(handle.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(json.size()));
  curl_easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, &detail::http_collect);
  curl_easy_setopt(handle.get(), CURLOPT_WRITEDATA, static_cast<void*>(&body));
  const CURLcode code = detail::http_perform(handle.get());
  if (body.cut) {
    answer.failure = "the answer is longer than " + std::to_string(options_.answer_bytes) + " bytes";
  } else if (code != CURLE_OK) {
    answer.failure = detail::http_reason(code, reason);
  } else {
    curl_off_t seconds = 0;
    curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &answer.status);
    if (curl_easy_getinfo(handle.get(), CURLINFO_RETRY_AFTER, &seconds) == CURLE_OK)
      answer.retry_after = static_cast<double>(seconds);
    connections_->keep(std::move(handle));
  }
  return answer;
}

REWARD_TUNER_INLINE std::string HttpPost::connect() const {
  const Connections::Handle handle = connections_->take();
  char reason[CURL_ERROR_SIZE];
  detail::http_prepare(handle.get(), url_, options_, options_.connect_seconds, reason);
  curl_easy_setopt(handle.get(), CURLOPT_CONNECT_ONLY, 1L);
  const CURLcode code = detail::http_perform(handle.get());
  return code == CURLE_OK ? std::string() : detail::http_reason(code, reason);
}

}  // namespace reward_tuner
