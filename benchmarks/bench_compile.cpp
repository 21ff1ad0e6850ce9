// Seconds and peak memory of the compiler for one unit a method, with and without the shared precompiled header, as
// JSON. The flags are those this program itself was compiled with.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <regex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <benchmarks/guarded.hpp>
#include <benchmarks/machine.hpp>

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

struct Unit {
  std::string name, text;
};

std::vector<Unit> units() {
  const std::string model = "#include <reward_tuner/models/stable_diffusion.hpp>\n";
  std::vector<Unit> all = {
      {"LibTorch's headers alone",
       "#include <torch/autograd.h>\n#include <torch/nn/module.h>\n#include <torch/types.h>\nint unit(torch::Tensor x) "
       "{ return x.dim() > 1; }\n"},
      {"StableDiffusion, no method",
       model + "auto unit(const char* folder) { return reward_tuner::StableDiffusion::load(folder); }\n"}};
  for (const auto& [method, header] : std::vector<std::pair<std::string, std::string>>{{"DRTune", "drtune"},
                                                                                       {"DRaFT", "draft"},
                                                                                       {"DRaFTLV", "draft_lv"},
                                                                                       {"ReFL", "refl"},
                                                                                       {"AlignProp", "alignprop"}})
    all.push_back(
        {method,
         "#include <reward_tuner/optim/adamw.hpp>\n#include <reward_tuner/methods/" + header + ".hpp>\n" + model +
             "#include <reward_tuner/rewards/symmetry.hpp>\nnamespace rt = reward_tuner;\n"
             "rt::UpdateReport unit(rt::StableDiffusion& pipeline, rt::AdamW& optimizer, const "
             "std::vector<std::string>& prompts, rt::Rng& rng) {\n  auto tuner = rt::make<rt::" +
             method + ">(rt::SymmetryReward());\n  return tuner.update(pipeline, optimizer, prompts, rng);\n}\n"});
  return all;
}

/// How this program was compiled, as "cd FOLDER && COMPILER FLAGS", without its files.
std::string own_command() {
  std::ifstream file(REWARD_TUNER_COMPILE_COMMANDS);
  const json commands = json::parse(file);
  for (const json& entry : commands) {
    if (!entry.at("file").get<std::string>().ends_with("bench_compile.cpp")) continue;
    std::string command = entry.at("command").get<std::string>();
    command = std::regex_replace(command, std::regex("^\\S*ccache "), "");
    command = std::regex_replace(command, std::regex(" -o \\S+| -c \\S+| -MD| -MT \\S+| -MF \\S+"), "");
    return "cd '" + entry.at("directory").get<std::string>() + "' && exec " + command;
  }
  throw std::runtime_error("compile_commands.json does not know bench_compile.cpp");
}

/// Runs a shell command to its end.
json timed(const std::string& command) {
  const auto begin = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) {
    ::execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  int status = 0;
  rusage usage{};
  if (::wait4(child, &status, 0, &usage) != child || status != 0)
    throw std::runtime_error("the compiler failed: " + command);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return {{"cpu_seconds", seconds(usage.ru_utime) + seconds(usage.ru_stime)},
          {"wall_seconds", std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count()},
          {"peak_megabytes", static_cast<double>(usage.ru_maxrss) / 1024}};
}

int run(int argc, char** argv) {
  CLI::App app("Seconds of the compiler for one unit a method.", "bench_compile");
  std::string only, out_file;
  bool smoke = false;
  app.add_option("--only", only, "the one unit of this name");
  app.add_option("--json", out_file, "file to write; the standard output always has it too");
  app.add_flag("--smoke", smoke, "check syntax only, LibTorch's headers alone: whether it works, not how fast it is");
  CLI11_PARSE(app, argc, argv);
  const std::string with = own_command(),
                    without = std::regex_replace(
                        with,
                        std::regex(
                            " -Winvalid-pch|( -Xclang)? -include(-pch)?( -Xclang)? \\S+cmake_pch\\.hxx(\\.pch)?"),
                        "");
  const fs::path folder = fs::temp_directory_path() / ("reward-tuner-compile-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  json out{{"context", bench::machine()}, {"units", json::array()}};
  for (const Unit& unit : units()) {
    if (!only.empty() && unit.name != only) continue;
    std::ofstream(folder / "unit.cpp") << unit.text;
    const std::string rest =
        smoke ? " -fsyntax-only '" + (folder / "unit.cpp").string() + "'"
              : " -o '" + (folder / "unit.o").string() + "' -c '" + (folder / "unit.cpp").string() + "'";
    std::cerr << "compile: " << unit.name << '\n';
    out["units"].push_back(
        {{"name", unit.name}, {"precompiled", timed(with + rest)}, {"plain", timed(without + rest)}});
    if (smoke) break;
  }
  fs::remove_all(folder);
  std::cout << out.dump(1) << '\n';
  if (!out_file.empty()) std::ofstream(out_file) << out.dump(1) << '\n';
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(run, argc, argv); }
