// Who waits, in which order, and for how long.
#include <fairlead/resilience/wait_queue.hpp>

#include <new>
#include <string>
#include <tuple>
#include <vector>

#include "support/catch.hpp"

namespace {

using namespace fairlead;
using namespace std::chrono_literals;

using Queue = WaitQueue<int>;
constexpr Time start{1000s};

/// Takes all out, as if there were places for every one.
std::vector<int> drain(Queue& queue) {
    std::vector<int> order;
    queue.begin_pass();
    while (const auto* entry = queue.first()) {
        const int ticket = entry->ticket;
        order.push_back(ticket);
        CHECK(queue.remove(std::string{entry->kind}, ticket));
    }
    return order;
}

TEST_CASE("who waits is served in order of arrival within a priority, lower priorities first") {
    Queue queue;
    for (const auto& [ticket, kind, priority] : std::vector<std::tuple<int, std::string, int>>{
             {1, "a", 0}, {2, "b", 0}, {3, "a", -1}, {4, "b", 5}, {5, "a", 0}, {6, "c", -1}, {7, "b", 0}}) {
        REQUIRE(queue.push(ticket, kind, priority, {}, 100));
    }
    CHECK(drain(queue) == std::vector{3, 6, 1, 2, 5, 7, 4});
    CHECK(queue.size() == 0);
}

TEST_CASE("a kind that found no place is asked no more in the pass, and again in the next") {
    Queue queue;
    for (int i = 0; i < 6; ++i) queue.push(i, i % 2 == 0 ? "even" : "odd", 0, {}, 100);
    queue.begin_pass();
    CHECK(queue.first()->ticket == 0);
    queue.skip("even");
    CHECK(queue.first()->ticket == 1);
    CHECK(queue.remove("odd", 1));
    CHECK(queue.first()->ticket == 3);
    queue.skip("odd");
    CHECK(queue.first() == nullptr);
    queue.begin_pass();
    CHECK(queue.first()->ticket == 0);
}

TEST_CASE("no more than the limit wait; one that left makes room, and is gone once") {
    Queue queue;
    CHECK(queue.push(1, "a", 0, {}, 2));
    CHECK(queue.push(2, "b", 0, {}, 2));
    CHECK_FALSE(queue.push(3, "a", -1, {}, 2));
    CHECK(queue.remove("a", 1));
    CHECK_FALSE(queue.remove("a", 1));
    CHECK_FALSE(queue.remove("nobody's", 2));
    CHECK(queue.push(3, "a", -1, {}, 2));
    CHECK(drain(queue) == std::vector{3, 2});
}

TEST_CASE("exactly those are late whose time is up") {
    Queue queue;
    queue.push(1, "a", 0, Deadline{start + 3s}, 100);
    queue.push(2, "a", 0, Deadline::never(), 100);
    queue.push(3, "b", 0, Deadline{start + 1s}, 100);
    CHECK(queue.take_late(start + 1s - 1ns).empty());
    CHECK(queue.take_late(start + 1s) == std::vector{3});
    CHECK(queue.take_late(start + 2s).empty());
    CHECK(queue.take_late(start + 1h) == std::vector{1});
    CHECK(queue.take_late(Time::max() - 1ns).empty());
    CHECK(drain(queue) == std::vector{2});
}

TEST_CASE("the expected wait follows the rate at which places come free") {
    Queue queue;
    CHECK(queue.expected_wait(start) == 1s);  // nothing is known
    // Two a second for long: one that comes behind nine waits for about five seconds.
    for (int i = 0; i < 200; ++i) queue.served(start + i * 500ms);
    const Time now = start + 199 * 500ms;
    for (int i = 0; i < 9; ++i) queue.push(i, "a", 0, {}, 100);
    CHECK(queue.expected_wait(now) > 4s);
    CHECK(queue.expected_wait(now) < 6s);
    CHECK(queue.expected_wait(now + 1h) == 60s);  // and then none for long
}

/// A request's name that cannot be copied for ever: so often, then there is no memory once.
struct Heavy {
    int name = 0;
    int* copies_left = nullptr;

    explicit Heavy(int n = 0, int* left = nullptr) noexcept : name{n}, copies_left{left} {}
    Heavy(const Heavy& other) : name{other.name}, copies_left{other.copies_left} {
        if (copies_left != nullptr && (*copies_left)-- == 0) throw std::bad_alloc{};
    }
    Heavy& operator=(const Heavy&) = default;
    ~Heavy() = default;
    bool operator==(const Heavy& other) const noexcept { return name == other.name; }
};

TEST_CASE("who finds no memory to wait does not wait, and nobody finds a trace of him") {
    for (const bool others : {false, true}) {
        WaitQueue<Heavy> queue;
        if (others) REQUIRE(queue.push(Heavy{1}, "kind", 1, {}, 10));
        int copies = 1;  // into the call, but not into the queue
        const Heavy ticket{2, &copies};
        CHECK_THROWS_AS(queue.push(ticket, "kind", 0, {}, 10), std::bad_alloc);
        CHECK(copies == -1);
        CHECK(queue.size() == (others ? 1U : 0U));
        CHECK(queue.waits("kind") == others);
        queue.begin_pass();
        REQUIRE((queue.first() != nullptr) == others);
        if (others) CHECK(queue.first()->ticket.name == 1);
        REQUIRE(queue.push(Heavy{3}, "kind", 0, {}, 10));
        queue.begin_pass();
        CHECK(queue.first()->ticket.name == 3);
        CHECK(queue.remove("kind", Heavy{3}));
        CHECK(queue.waits("kind") == others);
    }
}

}  // namespace
