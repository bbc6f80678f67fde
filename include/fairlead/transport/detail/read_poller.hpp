// Which sockets have something to read, told without a system call for every wait.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include <asio/any_io_executor.hpp>
#include <asio/execution_context.hpp>
#include <asio/posix/basic_stream_descriptor.hpp>

#include <fairlead/model/time.hpp>

namespace fairlead::detail {

/// Who waits until a socket has something to read.
class ReadWaiter {
  public:
    /// On the loop's thread, not from within the wait. The socket may turn out to have nothing.
    virtual void on_readable() = 0;

  protected:
    ~ReadWaiter() = default;
};

/// An edge-triggered epoll of a loop that one thread runs, for sockets that are read in it again and again.
///
/// Asio changes its epoll for each wait that is not a read tried at once: a system call that costs as much as
/// the read. Here a socket is entered once; what is known of it is kept until a read finds it empty. The
/// loop waits for this epoll as for any descriptor while somebody waits for one of its sockets, and learns of
/// all that have something in one call.
///
/// Threads: the loop's. Watches nobody waits with may also be stopped by others.
class ReadPoller final : public asio::execution_context::service {
  public:
    inline static asio::execution_context::id id{};

    /// That of the loop behind `executor`; null where that is not plainly an io_context's (a strand's thread
    /// may change), or the system has no epoll or no descriptor left. Any thread.
    static ReadPoller* of(const asio::any_io_executor& executor);

    explicit ReadPoller(asio::execution_context& context);  ///< an io_context
    ReadPoller(const ReadPoller&) = delete;
    ReadPoller& operator=(const ReadPoller&) = delete;
    ~ReadPoller() override;

    /// Takes note of all that the kernel knows now, unless the last look at it is younger than `age`. Whoever
    /// waits for some of it is told in the loop's next turn.
    void collect(Duration age = Duration::zero());

  private:
    friend class ReadWatch;
    using Descriptor = asio::posix::basic_stream_descriptor<asio::any_io_executor>;

    struct Slot {
        std::shared_ptr<ReadWaiter> waiter{};
        int socket = -1;        // none: the slot is free
        std::uint32_t use = 0;  // of how many watches this is, so that late news of a former one is none
        bool news = false;      // something may be there
        bool held = false;      // the kernel is not asked for news
        bool more = false;      // behind the data, where a short read ends: the end, or what is urgent
        bool queued = false;
    };

    bool open();
    bool add(std::uint32_t index) noexcept;
    std::optional<std::uint32_t> enter(int socket);
    void leave(std::uint32_t index) noexcept;
    bool ask(std::uint32_t index, bool news) noexcept;
    void hold(std::uint32_t index) noexcept;
    void wait(std::uint32_t index, std::shared_ptr<ReadWaiter> waiter);

    bool look() noexcept;
    bool enqueue(std::uint32_t index) noexcept;
    void arm();
    void disarm() noexcept;
    void on_event();
    void tell();
    void tell_soon();
    std::shared_ptr<ReadWaiter> next() noexcept;
    void notify_fork(asio::execution_context::fork_event event) override;
    void shutdown() noexcept override;

    int epoll_ = -1;  // owned by the descriptor
    std::optional<Descriptor> descriptor_{};
    bool armed_ = false;
    bool will_tell_ = false;  // in the loop's next turn
    Time looked_at_{};

    std::mutex mutex_{};  // of all below
    std::vector<Slot> slots_{};
    std::vector<std::uint32_t> free_{};
    std::size_t waiting_ = 0;
    // Slots whose waiters are to be told; each is there once, so that neither grows beyond the slots.
    std::vector<std::uint32_t> queue_{};
    std::vector<std::uint32_t> batch_{};
    std::size_t told_ = 0;  // of the batch
};

/// One socket's place at a poller. To be stopped before the socket is closed.
class ReadWatch {
  public:
    ReadWatch() = default;
    ReadWatch(const ReadWatch&) = delete;
    ReadWatch& operator=(const ReadWatch&) = delete;
    ~ReadWatch() { stop(); }

    /// Begins to watch the socket, which does not block, where its loop has a poller; else remains off.
    void start(const asio::any_io_executor& executor, int socket);
    bool is_on() const noexcept { return poller_ != nullptr; }

    /// Forgets the socket; drops whoever waits, who is not told.
    void stop() noexcept;

    /// Tells `waiter` once, when there may be something to read. One at a time.
    void wait(std::shared_ptr<ReadWaiter> waiter);

    /// The last read got less than it asked for, or (`would_block`) nothing: there is no more until news
    /// come.
    void drained(bool would_block) noexcept;

    /// Nobody will wait for a moment: data that comes until the next wait does not wake the loop; that wait
    /// tells of it. Does nothing while somebody waits.
    void hold() noexcept;

    /// Whether nothing has come since, as far as was collected. "No" may be wrong.
    bool is_quiet() const noexcept;

  private:
    ReadPoller* poller_ = nullptr;
    std::uint32_t index_ = 0;
};

}  // namespace fairlead::detail
