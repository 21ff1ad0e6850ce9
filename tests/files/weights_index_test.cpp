// The index of shards: what Python writes is read, and no index leads its reader elsewhere.
#include <doctest/doctest.h>

#include <string>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/weights_index.hpp>

#include <tests/reference/test_folder.hpp>

using namespace reward_tuner;

namespace weights_index_test {

TEST_CASE("weights index: the shard of every tensor, whatever the metadata say") {
  const io_test::Folder folder;
  io_test::write_text(folder / "model.safetensors.index.json",
                      R"({"metadata": {"total_size": "many"}, "other": 1,
                          "weight_map": {"b": "model-00002-of-00002.safetensors", "a": "..safetensors"}})");
  const WeightsIndex index = read_weights_index(folder / "model.safetensors.index.json");
  CHECK((index == WeightsIndex{{"a", "..safetensors"}, {"b", "model-00002-of-00002.safetensors"}}));
}

TEST_CASE("weights index: other forms and shards elsewhere are named errors") {
  const auto error = [](const nlohmann::json& json) {
    try {
      parse_weights_index(json, "unet/index.json");
    } catch (const Error& problem) {
      return std::string(problem.what());
    }
    return std::string();
  };
  const auto shard = [&](const nlohmann::json& name) {
    nlohmann::json json;
    json["weight_map"]["conv_in.weight"] = name;
    return error(json);
  };
  const auto has = [](const std::string& text, const std::string& part) {
    CAPTURE(text);
    CHECK(text.find("[Weights] unet/index.json: expected ") == 0);
    CHECK(text.find(part) != std::string::npos);
  };
  has(error({{"metadata", 1}}), "an object weight_map with the shard of every tensor, got none");
  has(error(nlohmann::json::array()), "got none");
  has(error({{"weight_map", nlohmann::json::object()}}), "got object {}");
  has(error({{"weight_map", {"a"}}}), "got array [\"a\"]");
  has(shard(3), "the shard of 'conv_in.weight' as a string, got number 3");
  const std::string zero("a\0.safetensors", 14);
  for (const std::string& name :
       {std::string("../a.safetensors"), std::string("/tmp/a.safetensors"), std::string("b/a.safetensors"),
        std::string("..\\a.safetensors"), zero, std::string("a.bin"), std::string("..")})
    has(shard(name), "as the name of a safetensors file beside the index, got '" + name.substr(0, name.find('\0')));
}

}  // namespace weights_index_test
