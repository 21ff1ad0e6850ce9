// JSON sent to a server by HTTP, with limits on time and size, by libcurl.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <reward_tuner/core/option_fields.hpp>

namespace reward_tuner {

/// How an HttpPost talks to its server.
struct HttpOptions {
  double timeout_seconds = 60;             ///< of a whole exchange, answer included, > 0
  double connect_seconds = 10;             ///< of it for the connection, > 0
  bool proxy_from_environment = false;     ///< obey http_proxy and https_proxy
  std::vector<std::string> headers = {};   ///< further lines of the request, "Name: value"
  std::size_t answer_bytes = 64UL << 20U;  ///< an answer that is longer is cut off and counts as none
};
REWARD_TUNER_FIELDS(HttpOptions, timeout_seconds, connect_seconds, proxy_from_environment, headers, answer_bytes);

/// What came back.
struct HttpAnswer {
  long status = 0;           ///< of HTTP; 0: none came
  std::string body = {};     ///< as received
  double retry_after = 0;    ///< seconds that the server asks to wait
  std::string failure = {};  ///< why no whole answer came, in libcurl's words; empty: one did
};

/// Posts JSON to one address. Connections are kept for later calls; redirects are not followed. Copies share their
/// connections, and any number of threads may call at once.
/// Errors: an address that is not http:// or https://, an option out of range.
class HttpPost {
 public:
  explicit HttpPost(std::string url, HttpOptions options = {});

  /// Sends `json` and waits for the answer, at most timeout_seconds or `within` seconds, whichever is less.
  HttpAnswer post(const std::string& json, double within) const;

  /// Connects and sends nothing. Empty if that worked, else why not.
  std::string connect() const;

 private:
  struct Connections;
  std::string url_;
  HttpOptions options_;
  std::shared_ptr<Connections> connections_;
};

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/rewards/http_post.ipp>
#endif
