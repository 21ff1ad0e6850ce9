// Which study writes which page.
#include "report.hpp"

namespace rt_reproduce {

void write_report(const Study& study, const std::filesystem::path& page, const std::filesystem::path& images) {
  Page out(study, page, images);
  switch (study.kind) {
    case StudyKind::kDrtune:
      write_drtune_page(out);
      break;
    case StudyKind::kB2:
      write_b2_page(out);
      break;
    case StudyKind::kDiffexp:
      write_diffexp_page(out);
      break;
    case StudyKind::kLsrl:
      write_lsrl_page(out);
      break;
  }
  out.write();
}

}  // namespace rt_reproduce
