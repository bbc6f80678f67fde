// One program of all fuzz targets, so that the library is linked once: the name that it is called by,
// fuzz-NAME, says which body runs.
#ifdef FAIRLEAD_FUZZING

#include <string>

#include "fuzz.hpp"

namespace {

const fairlead::test::FuzzBody* chosen_body = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
    const std::string called = *count > 0 ? (*arguments)[0] : "";
    for (const auto& body : fairlead::test::fuzz_bodies()) {
        if (called.ends_with("fuzz-" + std::string{body.name})) chosen_body = &body;
    }
    if (chosen_body != nullptr) return 0;
    std::fputs("call it by one of these names:\n", stderr);
    for (const auto& body : fairlead::test::fuzz_bodies())
        std::fprintf(stderr, "  fuzz-%s\n", std::string{body.name}.c_str());
    std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    chosen_body->run({reinterpret_cast<const char*>(data), size});  // bytes are bytes
    return 0;
}

#endif
