// Definitions of rewards that a server computes, by libcurl.
#include <reward_tuner/rewards/http_post.ipp>
#include <reward_tuner/rewards/remote.ipp>
#include <reward_tuner/rewards/remote_protocol.ipp>
