// write_tables FOLDER [PAGE]: the JSON files of one script/benchmark run as Markdown tables. Without PAGE they are
// printed; with it, what stands between <!-- table: NAME --> and <!-- end --> in the page is replaced. A table whose
// JSON is not there stays as it is.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <benchmarks/guarded.hpp>

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

std::string fixed(double x, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, x);
  return text;
}
std::string three_digits(double x) {
  return x == 0 ? "0" : fixed(x, std::clamp(2 - static_cast<int>(std::floor(std::log10(std::abs(x)))), 0, 6));
}
std::string mebibytes(double bytes) { return fixed(bytes / (1 << 20), 1); }

/// Name without Google Benchmark's own suffixes -> the median, or the single run.
std::vector<std::pair<std::string, json>> medians(const json& file) {
  std::vector<std::pair<std::string, json>> out;
  for (const json& entry : file.at("benchmarks")) {
    if (entry.contains("aggregate_name") && entry.at("aggregate_name") != "median") continue;
    std::string name =
        entry.contains("run_name") ? entry.at("run_name").get<std::string>() : entry.at("name").get<std::string>();
    for (const char* suffix : {"/iterations:", "/repeats:", "/process_time", "/min_time:"})
      if (const auto at = name.find(suffix); at != std::string::npos) name.resize(at);
    out.emplace_back(name, entry);
  }
  return out;
}

std::string where(const json& context, bool update) {
  const auto get = [&](const char* key) {
    return context.contains(key) ? context.at(key).get<std::string>() : std::string("?");
  };
  std::string line = get("date") + ", " + get("device") + ", " + get("compiler") + ", LibTorch " + get("torch") +
                     ", commit " + get("commit");
  if (update)
    line += ";\nmodel " + get("model") + ", T " + get("steps") + ", batch " + get("batch") + ", guidance " +
            get("guidance") + ", LoRA rank " + get("rank") + ", " + get("dtype") + ", " + get("threads") + " thread";
  return line + ".\n";
}

std::string bounds(const json& file) {
  std::string out = where(file.at("context"), true) + "K " + file.at("context").at("trained").get<std::string>() +
                    ", median (quartiles) of " + file.at("context").at("rounds").get<std::string>() +
                    " rounds.\n\n| ratio | at most | found | kept |\n|---|---|---|---|\n";
  for (const json& b : file.at("bounds")) {
    const double low = b.at("low"), median = b.at("median"), high = b.at("high");
    out += "| " + b.at("name").get<std::string>() + " | " + fixed(b.at("bound"), 2) + " | " + fixed(median, 3) +
           (low == high ? "" : " (" + fixed(low, 3) + " .. " + fixed(high, 3) + ")") +
           (b.at("kept").get<bool>() ? " | yes |\n" : " | **no** |\n");
  }
  return out;
}

std::string parts(const json& file) {
  std::string out = "| measured in turn | CPU s | quartiles |\n|---|---|---|\n";
  for (const json& b : file.at("cpu_seconds"))
    out += "| " + b.at("name").get<std::string>() + " | " + three_digits(b.at("median")) + " | " +
           three_digits(b.at("low")) + " .. " + three_digits(b.at("high")) + " |\n";
  return out;
}

std::string stop_gradient(const json& file) {
  std::string out = where(file.at("context"), true) +
                    "\n| K | gradient passes inputs | forwards | backwards | gradient norm | CPU s, replay | MiB, "
                    "replay | CPU s, retain | MiB, retain |\n|---|---|---|---|---|---|---|---|---|\n";
  std::map<std::string, json> at;
  std::vector<std::string> trained;
  for (const auto& [name, entry] : medians(file)) {
    at[name] = entry;
    if (name.starts_with("stop/replay/K:")) trained.push_back(name.substr(14));
  }
  for (const std::string& K : trained)
    for (const char* kind : {"stop", "pass"}) {
      const auto row = at.find(std::string(kind) + "/replay/K:" + K),
                 other = at.find(std::string(kind) + "/retain/K:" + K);
      if (row == at.end() || other == at.end()) continue;
      const auto number = [](const json& e, const char* key) { return e.at(key).get<double>(); };
      const json &replay = row->second, &retain = other->second;
      out += "| " + K + " | " + (std::string(kind) == "stop" ? "no" : "yes") + " | " +
             fixed(number(replay, "forwards"), 0) + " | " + fixed(number(replay, "backwards"), 0) + " | " +
             three_digits(number(replay, "gradient_norm")) + " | " + fixed(number(replay, "cpu_time") / 1e3, 2) +
             " | " + mebibytes(number(replay, "peak_tensor_bytes")) + " | " +
             fixed(number(retain, "cpu_time") / 1e3, 2) + " | " + mebibytes(number(retain, "peak_tensor_bytes")) +
             " |\n";
    }
  return out;
}

std::string engine(const json& file) {
  std::string out = where(file.at("context"), true) +
                    "\n| update | CPU s | peak MiB | forwards | backwards | gradient's cosine with the first row "
                    "|\n|---|---|---|---|---|---|\n";
  for (const auto& [name, e] : medians(file))
    out += "| " + name + " | " + fixed(e.at("cpu_time").get<double>() / 1e3, 2) + " | " +
           mebibytes(e.at("peak_tensor_bytes")) + " | " + fixed(e.at("forwards"), 0) + " | " +
           fixed(e.at("backwards"), 0) + " | " +
           (e.contains("gradient_cosine") ? fixed(e.at("gradient_cosine"), 6) : std::string()) + " |\n";
  return out;
}

std::string blocks(const json& file) {
  std::string out = where(file.at("context"), true) + "\n| block | CPU ms |\n|---|---|\n";
  for (const auto& [name, e] : medians(file)) out += "| " + name + " | " + three_digits(e.at("cpu_time")) + " |\n";
  return out;
}

std::string compile(const json& file) {
  std::string out = where(file.at("context"), false) +
                    "\n| unit | CPU s | with the precompiled header | peak MiB | with the precompiled header "
                    "|\n|---|---|---|---|---|\n";
  for (const json& u : file.at("units"))
    out += "| " + u.at("name").get<std::string>() + " | " + fixed(u.at("plain").at("cpu_seconds"), 1) + " | " +
           fixed(u.at("precompiled").at("cpu_seconds"), 1) + " | " + fixed(u.at("plain").at("peak_megabytes"), 0) +
           " | " + fixed(u.at("precompiled").at("peak_megabytes"), 0) + " |\n";
  return out;
}

std::string profile(const json& file) {
  std::string out =
      where(file.at("context"), true) + "\n| kind of operator | share of the time | calls an update |\n|---|---|---|\n";
  for (const json& k : file.at("kinds"))
    out += "| " + k.at("name").get<std::string>() + " | " + fixed(100 * k.at("share").get<double>(), 1) + "% | " +
           (k.at("calls") == 0 ? std::string() : k.at("calls").dump()) + " |\n";
  return out;
}

std::string read(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

int run(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: write_tables FOLDER [PAGE]\n";
    return 1;
  }
  const fs::path folder = argv[1];
  struct Table {
    const char *name, *file;
    std::string (*write)(const json&);
  };
  std::string page = argc > 2 ? read(argv[2]) : "";
  if (argc > 2 && page.empty()) throw std::runtime_error(std::string("no page at ") + argv[2]);
  for (const Table& table : {Table{"bounds", "bounds.json", bounds}, Table{"parts", "bounds.json", parts},
                             Table{"random model", "bounds_random_model.json", bounds},
                             Table{"stop-gradient", "stop_gradient.json", stop_gradient},
                             Table{"engine", "engine.json", engine}, Table{"blocks", "blocks.json", blocks},
                             Table{"profile", "profile.json", profile}, Table{"compile", "compile.json", compile}}) {
    if (!fs::exists(folder / table.file)) continue;
    const std::string text = table.write(json::parse(read(folder / table.file)));
    if (argc == 2) {
      std::cout << "## " << table.name << "\n\n" << text << '\n';
      continue;
    }
    const std::string mark = std::string("<!-- table: ") + table.name + " -->\n", end = "<!-- end -->";
    const auto begin = page.find(mark);
    if (begin == std::string::npos) throw std::runtime_error("the page has no " + mark);
    const auto stop = page.find(end, begin);
    if (stop == std::string::npos) throw std::runtime_error("the page has no " + end + " behind " + mark);
    page.replace(begin + mark.size(), stop - begin - mark.size(), text);
  }
  if (argc > 2) std::ofstream(argv[2]) << page;
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return bench::guarded(run, argc, argv); }
