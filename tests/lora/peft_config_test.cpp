// peft's settings: what they make of alpha, in the file's order, and which adapters are no plain LoRA.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <string>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/lora/peft_config.hpp>

using namespace reward_tuner;

namespace peft_config_test {
namespace {

const std::string kDown = "down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_q";
const std::string kMiddle = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k";

double scale(const std::string& text, const std::string& path, std::int64_t rank = 4) {
  return PeftConfig::parse(text, "settings").scale(path, rank);
}

}  // namespace

TEST_CASE("peft_config: alpha over rank, or over its root") {
  CHECK(scale(R"({"lora_alpha": 6})", kDown) == 1.5);
  CHECK(scale(R"({"lora_alpha": 6.5, "use_rslora": true})", kDown) == 3.25);
  CHECK(scale(R"({"lora_alpha": 6, "use_rslora": null, "alpha_pattern": null, "r": 64})", kDown, 2) == 3);
}

TEST_CASE("peft_config: the first pattern of the file that matches the whole name or its end counts") {
  const auto alpha = [](const std::string& patterns, const std::string& path) {
    return scale(R"({"lora_alpha": 1, "alpha_pattern": )" + patterns + "}", path, 1);
  };
  CHECK(alpha(R"({"to_q": 4})", kDown) == 4);
  CHECK(alpha(R"({"o_q": 4})", kDown) == 1);  // begins after a dot
  CHECK(alpha(R"({"attn1.to_q": 4})", kDown) == 4);
  CHECK(alpha(R"({"to_": 4})", kDown) == 1);  // goes to the end
  CHECK(alpha(R"({"mid_block.*to_k": 6})", kMiddle) == 6);
  CHECK(alpha(R"({"mid_block.*to_k": 6})", kDown) == 1);
  CHECK(alpha(R"({"^mid_block.*": 6})", kMiddle) == 6);
  CHECK(alpha(R"({"^attn2.to_k": 6})", kMiddle) == 1);
  CHECK(alpha(R"json({".*down_blocks.*attn1.to_(q|k)": 7})json", kDown) == 7);
  CHECK(alpha(R"({"to_q|to_v": 7})", kDown) == 7);  // the key is one group
  // not in the order of the alphabet
  CHECK(alpha(R"({"to_k": 10, "mid_block.*to_k": 9})", kMiddle) == 10);
  CHECK(alpha(R"({"mid_block.*to_k": 9, "to_k": 10})", kMiddle) == 9);
  CHECK(alpha(R"({"zz": 1, "mid_block.*to_k": 9, "attn2.to_k": 10})", kMiddle) == 9);
}

TEST_CASE("peft_config: diffusers' settings of one part begin with its name") {
  const std::string text = R"({"unet.lora_alpha": 6, "text_encoder.lora_alpha": 8, "text_encoder.use_rslora": true})";
  CHECK(PeftConfig::parse(text, "settings", "unet").scale(kDown, 2) == 3);
  CHECK(PeftConfig::parse(text, "settings", "text_encoder").scale("q_proj", 4) == 4);
  CHECK_FALSE(PeftConfig::parse(text, "settings", "text_encoder_2").given());
  CHECK_FALSE(PeftConfig().given());
}

TEST_CASE("peft_config: all that peft 0.21.2 writes for a plain LoRA is read") {
  const std::string path = REWARD_TUNER_TEST_DATA "/peft/adapter_config.json";
  std::ifstream stream(path);
  const std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  const PeftConfig config = PeftConfig::parse(text, path);
  CHECK(config.given());
  CHECK(config.scale(kDown, 4) == 4);
}

TEST_CASE("peft_config: other adapters are refused by their names, unknown settings too unless they are off") {
  const auto fails = [](const std::string& more, const char* message) {
    CAPTURE(more);
    CHECK_THROWS_WITH_AS(PeftConfig::parse(R"({"lora_alpha": 1, )" + more + "}", "settings"),
                         doctest::Contains(message), Error);
  };
  fails(R"("use_dora": true)", "settings is that of a DoRA (use_dora is 'true'), expected a plain LoRA");
  fails(R"("use_qalora": true)", "a QA-LoRA");
  fails(R"("bias": "all")", "a LoRA with biases (bias is '\"all\"')");
  fails(R"("lora_bias": true)", "a LoRA with biases");
  fails(R"("modules_to_save": ["conv_in"])", "a LoRA with whole layers beside it");
  fails(R"("alora_invocation_tokens": [1])", "an activated LoRA");
  fails(R"("fan_in_fan_out": true)", "a LoRA on transposed weights");
  fails(R"("peft_type": "LOHA")", "peft_type '\"LOHA\"', expected \"LORA\"");
  for (const char* start : {"pissa", "pissa_niter_4", "olora", "corda", "loftq", "lora_ga", "later"}) {
    const std::string setting = std::string("\"init_lora_weights\": \"") + start + '"';
    fails(setting, "belongs to base weights that this start has changed");
  }
  fails(R"("next_year": 1)", "the setting 'next_year' is not known, and is '1'");
  fails(R"("use_rslora": 1)", "use_rslora must be a boolean, got '1'");
  fails(R"("alpha_pattern": [])", "alpha_pattern must be an object, got '[]'");
  fails(R"("alpha_pattern": {"a": "b"})", "alpha_pattern 'a' must be a number");
  CHECK_THROWS_WITH_AS(PeftConfig::parse("{\"r\": 1}", "settings"), doctest::Contains("has no number lora_alpha"),
                       Error);
  CHECK_THROWS_WITH_AS(PeftConfig::parse("[]", "settings"), doctest::Contains("must be an object"), Error);
  CHECK_THROWS_AS(PeftConfig::parse("{", "settings"), Error);
  CHECK(PeftConfig::parse(R"({"lora_alpha": 1, "next_year": null, "and": false, "so": [], "on": {}, "bias": "none",
                              "use_dora": false, "modules_to_save": null, "init_lora_weights": true})",
                          "settings")
            .given());
}

TEST_CASE("peft_config: a pattern that is no regular expression is a named error") {
  CHECK_THROWS_WITH_AS(scale(R"({"lora_alpha": 1, "alpha_pattern": {"(": 2}})", kDown),
                       doctest::Contains("the alpha_pattern '(' is not a regular expression"), Error);
  const std::string longer(1001, 'a');
  CHECK_THROWS_WITH_AS(scale(R"({"lora_alpha": 1, "alpha_pattern": {")" + longer + R"(": 2}})", kDown),
                       doctest::Contains("1001 bytes, expected at most 1000"), Error);
}

}  // namespace peft_config_test
