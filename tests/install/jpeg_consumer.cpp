// A host project that asks for the reward which needs libjpeg.
#include <reward_tuner/rewards/jpeg_size.hpp>

#include <ATen/ops/zeros.h>

#include <iostream>

int main() { std::cout << reward_tuner::jpeg_bytes(at::zeros({1, 3, 16, 16})).item<std::int64_t>() << " bytes\n"; }
