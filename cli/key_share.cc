#include "cli/key_share.h"

#include <istream>
#include <string>

namespace curfew::cli {

Result<Secret> key_share(Call& call, std::string_view prompt) {
  Secret key;
  if (call.word_count() == 1 && call.word(0) != "-") {
    key = Secret(call.word(0));
  } else if (call.word_count() == 0 && call.around.in_is_terminal) {
    ASSIGN_OR_RETURN(key, call.around.ask_secret(prompt));
  } else {
    std::string line;
    std::getline(call.around.in, line);
    key = Secret(line.substr(0, line.find_last_not_of(" \t\r\n") + 1));
    zero(line);
  }
  if (key.empty()) return local_error("No key was given");
  return key;
}

}  // namespace curfew::cli
