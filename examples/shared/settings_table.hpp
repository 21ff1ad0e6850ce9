// The table of all settings of `rt-tune tune`. A new setting is a field of TuneSettings and one row of
// settings_table.cpp.
#pragma once
#include "setting.hpp"

namespace rt_shared {

const SettingsTable& settings_table();

}  // namespace rt_shared
