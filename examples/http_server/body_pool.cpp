// A few large texts a thread, latest first.
#include "http_server/body_pool.hpp"

#include <memory>
#include <utility>
#include <vector>

namespace http_server {
namespace {

// Below, the allocator is as good: it keeps such blocks itself.
constexpr std::size_t least_pooled = std::size_t{64} * 1024;
// Above, nobody sends many: what is kept would only lie there.
constexpr std::size_t most_pooled = std::size_t{2} * 1024 * 1024;
constexpr std::size_t most_bytes = std::size_t{8} * 1024 * 1024;

struct Pool {
    std::vector<std::string> texts{};
    std::size_t bytes = 0;
};

Pool& pool() {
    thread_local Pool pool;
    return pool;
}

void give_back(std::string text) {
    auto& here = pool();
    const auto size = text.capacity();
    if (size < least_pooled || size > most_pooled || here.bytes + size > most_bytes) return;
    here.bytes += size;
    here.texts.push_back(std::move(text));
}

}  // namespace

std::string take_body(std::size_t size) {
    std::string text;
    auto& here = pool();
    if (size >= least_pooled && !here.texts.empty()) {
        text = std::move(here.texts.back());
        here.texts.pop_back();
        here.bytes -= text.capacity();
    }
    text.reserve(size);
    return text;
}

fairlead::SharedBody share_body(std::string body) {
    if (body.size() < least_pooled) return body;
    // Not const: it is given back to be written again, when nobody else is left who could read it.
    auto* const text = new std::string{std::move(body)};
    return std::shared_ptr<const std::string>{text, [text](const std::string*) {
                                                  give_back(std::move(*text));
                                                  delete text;
                                              }};
}

}  // namespace http_server
