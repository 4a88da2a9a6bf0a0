// The end of a process whose exception nobody catches. That of libstdc++ prints the name of the
// exception, and would bring a library for names, 50 KB, into one that catches all of them.

#if defined(__GNUC__)
#include <stdlib.h>

namespace __gnu_cxx {
__attribute__((visibility("hidden"))) void __verbose_terminate_handler();
void __verbose_terminate_handler() { abort(); }
}  // namespace __gnu_cxx
#endif
