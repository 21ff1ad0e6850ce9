// parity_check PROBE CASES_DIR WORK_DIR: runs the probe on every committed case and compares its tensors with those of
// the Python libraries. A tensor passes if |found - expected| <= atol + rtol*|expected| everywhere, with the tolerances
// of case.json; integers must be equal.
#include <ATen/ops/allclose.h>
#include <torch/types.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <set>
#include <string>

#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>

namespace {

namespace rt = reward_tuner;
namespace fs = std::filesystem;

/// Empty if the case passes, else what is wrong.
std::string verdict(const std::string& probe, const fs::path& folder, const fs::path& answer) {
  fs::remove(answer);
  const std::string command = "\"" + probe + "\" \"" + folder.string() + "\" \"" + answer.string() + "\"";
  if (const int status = std::system(command.c_str()); status != 0)
    return "the probe ended with status " + std::to_string(status);
  const auto settings = rt::read_json(folder / "case.json");
  const double atol = settings.at("atol").get<double>(), rtol = settings.at("rtol").get<double>();
  const auto found = rt::SafetensorsFile::open(answer),
             expected = rt::SafetensorsFile::open(folder / "expected.safetensors");
  std::set<std::string> names;
  for (const auto& name : settings.at("outputs")) names.insert(name.get<std::string>());
  for (const auto& name : settings.at("optional"))
    if (found.contains(name.get<std::string>())) names.insert(name.get<std::string>());
  for (const std::string& name : names) {
    if (!found.contains(name)) return name + " is missing";
    const auto a = found.tensor(name), b = expected.tensor(name);
    if (a.sizes() != b.sizes()) return name + " has another shape";
    if (!a.is_floating_point() ? !a.equal(b) : !at::allclose(a.to(at::kDouble), b.to(at::kDouble), rtol, atol))
      return name + " differs by " + std::to_string((a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>());
  }
  return names.empty() ? "the case names no output" : "";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: parity_check PROBE CASES_DIR WORK_DIR\n");
    return 2;
  }
  fs::create_directories(argv[3]);
  int cases = 0, failed = 0;
  std::set<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(argv[2]))
    if (fs::exists(entry.path() / "case.json")) folders.insert(entry.path());
  for (const fs::path& folder : folders) {
    std::string wrong;
    try {
      wrong = verdict(argv[1], folder, fs::path(argv[3]) / (folder.filename().string() + ".safetensors"));
    } catch (const std::exception& error) {
      wrong = error.what();
    }
    ++cases;
    failed += !wrong.empty();
    std::printf("%s  %s  %s\n", wrong.empty() ? "PASS" : "FAIL", folder.filename().c_str(), wrong.c_str());
  }
  std::printf("%d of %d golden cases passed\n", cases - failed, cases);
  return cases == 0 || failed > 0;
}
