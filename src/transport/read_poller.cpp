// Entering sockets, taking the kernel's news of them, and telling who waits.
#include <fairlead/transport/detail/read_poller.hpp>

#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <type_traits>
#include <typeinfo>
#include <utility>

#if defined(__linux__)
#include <sys/epoll.h>
#include <unistd.h>
#endif

#include <asio/execution/context_as.hpp>
#include <asio/execution/outstanding_work.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/prefer.hpp>
#include <asio/query.hpp>

namespace fairlead::detail {
namespace {

// Told in one turn of the loop, before what else it has to do: as many as Asio itself takes.
constexpr int most_in_turn = 128;

// A loop that comes back so soon will find more: it saves the way through the loop's own epoll to look at
// once, so often before what else the loop has to do.
constexpr Duration at_once = std::chrono::microseconds{50};  // a turn that had one or two sockets
constexpr int most_looks = 4;  // more: what else the loop has to do waits, and little is left to save

}  // namespace

#if defined(__linux__) && !defined(ASIO_NO_TYPEID)

namespace {

constexpr std::uint32_t interest = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET;

constexpr std::uint64_t key_of(std::uint32_t index, std::uint32_t use) noexcept {
    return std::uint64_t{use} << 32U | index;
}

bool is_loop(const asio::any_io_executor& executor) noexcept {
    using Loop = asio::io_context::executor_type;
    using Busy = std::decay_t<decltype(asio::prefer(std::declval<const Loop&>(),
                                                    asio::execution::outstanding_work.tracked))>;
    return executor.target_type() == typeid(Loop) || executor.target_type() == typeid(Busy);
}

}  // namespace

ReadPoller* ReadPoller::of(const asio::any_io_executor& executor) {
    if (!is_loop(executor)) return nullptr;
    auto& poller = asio::use_service<ReadPoller>(
        asio::query(executor, asio::execution::context_as<asio::execution_context&>));
    return poller.descriptor_ ? &poller : nullptr;
}

ReadPoller::ReadPoller(asio::execution_context& context) : service{context} {
    descriptor_.emplace(static_cast<asio::io_context&>(context).get_executor());
    if (!open()) descriptor_.reset();
}

bool ReadPoller::open() {
    const int made = ::epoll_create1(EPOLL_CLOEXEC);
    if (made < 0) return false;
    std::error_code error;
    descriptor_->assign(made, error);
    if (error) ::close(made);
    epoll_ = error ? -1 : made;
    return !error;
}

bool ReadPoller::add(std::uint32_t index) noexcept {
    ::epoll_event event{};
    event.events = interest;
    event.data.u64 = key_of(index, slots_[index].use);
    return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, slots_[index].socket, &event) == 0;
}

/// Whether the kernel tells news of it from now on. What is there when it begins to is news.
bool ReadPoller::ask(std::uint32_t index, bool news) noexcept {
    ::epoll_event event{};
    event.events = news ? interest : std::uint32_t{EPOLLET};
    event.data.u64 = key_of(index, slots_[index].use);
    return ::epoll_ctl(epoll_, EPOLL_CTL_MOD, slots_[index].socket, &event) == 0;
}

/// Whether there was anything new that is waited for, and that nobody was about to be told. Takes the mutex.
bool ReadPoller::look() noexcept {
    bool found = false;
    std::array<::epoll_event, 128> events;
    looked_at_ = std::chrono::steady_clock::now();
    const std::lock_guard lock{mutex_};
    int count = 0;
    do {
        count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 0);
        for (int i = 0; i < count; ++i) {
            const auto& event = events[static_cast<std::size_t>(i)];
            const auto index = static_cast<std::uint32_t>(event.data.u64);
            auto& slot = slots_[index];
            if (event.data.u64 != key_of(index, slot.use)) continue;
            slot.news = true;
            slot.more = slot.more || (event.events & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
            if (slot.waiter) found = enqueue(index) || found;
        }
    } while (count == static_cast<int>(events.size()));
    return found;
}

#else

ReadPoller* ReadPoller::of(const asio::any_io_executor&) { return nullptr; }
ReadPoller::ReadPoller(asio::execution_context& context) : service{context} {}
bool ReadPoller::open() { return false; }
bool ReadPoller::add(std::uint32_t) noexcept { return false; }
bool ReadPoller::ask(std::uint32_t, bool) noexcept { return false; }
bool ReadPoller::look() noexcept { return false; }

#endif

ReadPoller::~ReadPoller() = default;

void ReadPoller::collect(Duration age) {
    // The kernel tells nothing twice: its word to the loop is taken back by this look.
    if (std::chrono::steady_clock::now() - looked_at_ >= age && look()) tell_soon();
}

std::optional<std::uint32_t> ReadPoller::enter(int socket) {
    const std::lock_guard lock{mutex_};
    if (free_.empty()) {
        const auto count = slots_.size() + 1;
        if (slots_.capacity() < count) {
            // All at once: what is called later must not have to allocate.
            const auto room = count + count / 2 + 16;
            free_.reserve(room);
            queue_.reserve(room);
            batch_.reserve(room);
            slots_.reserve(room);
        }
        free_.push_back(static_cast<std::uint32_t>(slots_.size()));
        slots_.emplace_back();
    }
    const auto index = free_.back();
    auto& slot = slots_[index];
    slot.socket = socket;
    slot.news = slot.more = slot.held = false;  // what is there already is news when it is looked for
    if (!add(index)) {
        slot.socket = -1;
        return std::nullopt;
    }
    free_.pop_back();
    return index;
}

void ReadPoller::leave(std::uint32_t index) noexcept {
    std::shared_ptr<ReadWaiter> dropped;  // outside of the lock: it may own what it waits with
    bool nobody = false;
    {
        const std::lock_guard lock{mutex_};
        auto& slot = slots_[index];
        dropped = std::move(slot.waiter);
        if (dropped) nobody = --waiting_ == 0;
        ++slot.use;
        slot.socket = -1;
        free_.push_back(index);
    }
    if (nobody) disarm();
}

void ReadPoller::wait(std::uint32_t index, std::shared_ptr<ReadWaiter> waiter) {
    bool known = false;
    {
        const std::lock_guard lock{mutex_};
        auto& slot = slots_[index];
        slot.waiter = std::move(waiter);
        ++waiting_;
        if (slot.held) slot.held = !ask(index, true);
        known = slot.news;
        if (known) enqueue(index);
    }
    known ? tell_soon() : arm();
}

void ReadPoller::hold(std::uint32_t index) noexcept {
    const std::lock_guard lock{mutex_};
    auto& slot = slots_[index];
    if (!slot.waiter && !slot.held) slot.held = ask(index, false);
}

/// False when it is queued already. With the mutex held, as `ask` and `add`.
bool ReadPoller::enqueue(std::uint32_t index) noexcept {
    if (std::exchange(slots_[index].queued, true)) return false;
    queue_.push_back(index);
    return true;
}

void ReadPoller::arm() {
    if (armed_) return;
    descriptor_->async_wait(Descriptor::wait_read, [this](std::error_code) {
        armed_ = false;
        on_event();
    });
    armed_ = true;
}

/// Nobody waits: the loop would go on for nothing.
void ReadPoller::disarm() noexcept {
    std::error_code ignored;
    if (armed_) descriptor_->cancel(ignored);
}

void ReadPoller::on_event() {
    auto before = looked_at_;
    look();
    bool others = false;
    {
        const std::lock_guard lock{mutex_};
        others = waiting_ > queue_.size();
    }
    // Before anybody is told: a waiter that throws does so through the loop, as any handler does.
    if (others) arm();
    tell();
    for (int i = 0; i < most_looks && looked_at_ - before < at_once; ++i) {
        before = looked_at_;
        if (!look()) break;
        tell();
    }
}

void ReadPoller::tell_soon() {
    if (will_tell_) return;
    asio::post(descriptor_->get_executor(), [this] {
        will_tell_ = false;
        tell();
    });
    will_tell_ = true;
}

/// Those that are queued now, or so many of them. The others, and what they queue themselves, have their turn
/// behind the loop's other work, or with what a turn that is looked at once more brings. May be called from
/// within itself: a waiter may run the loop.
void ReadPoller::tell() {
    {
        const std::lock_guard lock{mutex_};
        if (told_ == batch_.size()) {
            batch_.clear();
            told_ = 0;
            batch_.swap(queue_);
        }
    }
    const auto& loop = static_cast<asio::io_context&>(context());
    try {
        for (int i = 0; i < most_in_turn && !loop.stopped(); ++i) {
            const auto waiter = next();
            if (!waiter) break;
            waiter->on_readable();
        }
    } catch (...) {
        tell_soon();
        throw;
    }
    bool queued = false;
    bool waiting = false;
    {
        const std::lock_guard lock{mutex_};
        queued = !queue_.empty() || told_ < batch_.size();
        waiting = waiting_ > 0;
    }
    if (queued) tell_soon();
    waiting ? arm() : disarm();
}

/// Of the batch; null behind its end.
std::shared_ptr<ReadWaiter> ReadPoller::next() noexcept {
    const std::lock_guard lock{mutex_};
    while (told_ < batch_.size()) {
        auto& slot = slots_[batch_[told_++]];
        slot.queued = false;
        if (!slot.waiter || !slot.news) continue;  // another watch's by now, or nobody's
        --waiting_;
        return std::move(slot.waiter);
    }
    return nullptr;
}

/// A child shares the parent's epoll, and each would take what is told to the other.
void ReadPoller::notify_fork(asio::execution_context::fork_event event) {
    if (event != asio::execution_context::fork_child || !descriptor_) return;
    std::error_code ignored;
    descriptor_->close(ignored);  // whoever waits for it arms it anew
    if (!open()) throw std::system_error{errno, std::system_category(), "epoll after fork"};
    const std::lock_guard lock{mutex_};
    for (std::uint32_t i = 0; i < slots_.size(); ++i) {
        if (slots_[i].socket >= 0 && !add(i))
            throw std::system_error{errno, std::system_category(), "epoll after fork"};
        slots_[i].held = false;
    }
}

void ReadPoller::shutdown() noexcept {
    descriptor_.reset();
    armed_ = false;
    waiting_ = 0;
    // Those who wait own what they wait with.
    for (auto& slot : slots_) {
        const auto dropped = std::exchange(slot.waiter, nullptr);
    }
}

void ReadWatch::start(const asio::any_io_executor& executor, int socket) {
    auto* const poller = ReadPoller::of(executor);
    if (poller == nullptr) return;
    const auto index = poller->enter(socket);
    if (!index) return;
    poller_ = poller;
    index_ = *index;
}

void ReadWatch::stop() noexcept {
    if (auto* const poller = std::exchange(poller_, nullptr)) poller->leave(index_);
}

void ReadWatch::wait(std::shared_ptr<ReadWaiter> waiter) { poller_->wait(index_, std::move(waiter)); }

void ReadWatch::drained(bool would_block) noexcept {
    if (poller_ == nullptr) return;
    const std::lock_guard lock{poller_->mutex_};
    auto& slot = poller_->slots_[index_];
    slot.news = slot.more && !would_block;
}

void ReadWatch::hold() noexcept {
    if (poller_ != nullptr) poller_->hold(index_);
}

bool ReadWatch::is_quiet() const noexcept {
    const std::lock_guard lock{poller_->mutex_};
    const auto& slot = poller_->slots_[index_];
    return !slot.news && !slot.held;
}

}  // namespace fairlead::detail
