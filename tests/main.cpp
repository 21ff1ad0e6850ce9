// The one main of every test binary. A single thread: tests are small, and two threads beside a busy neighbor are many
// times slower.
#define DOCTEST_CONFIG_IMPLEMENT
#include <ATen/Parallel.h>
#include <doctest/doctest.h>

int main(int argc, char** argv) {
  at::set_num_threads(1);
  return doctest::Context(argc, argv).run();
}
