// What drives a monitor on an Asio loop: rounds on a strand, a timer for the next, an end that may come any
// time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/strand.hpp>

#include <fairlead/model/time.hpp>

namespace fairlead::detail {

/// Everything is done in rounds (`Derived::round`, on a strand, without the mutex): `change` posts one unless
/// one is posted already, and so does the timer. The mutex guards all members of `Derived` but is never held
/// while foreign code runs. `visitor_` marks a round that may be with the balancer: `close_loop` waits for
/// it, unless it is called by that very round.
///
/// What throws (for want of memory, or because foreign code does) may leave a change or a round half done.
/// Then a round comes a second later, unless one comes before, which finds `torn_` set and begins anew.
template <class Derived>
class Rounds : public std::enable_shared_from_this<Derived> {
  public:
    Rounds(const Rounds&) = delete;
    Rounds& operator=(const Rounds&) = delete;

  protected:
    using Strand = asio::strand<asio::any_io_executor>;

    explicit Rounds(const asio::any_io_executor& executor) : loop_{std::make_unique<Loop>(executor)} {}
    ~Rounds() = default;

    static Time now() noexcept { return std::chrono::steady_clock::now(); }

    /// Takes the mutex: what `change` does there is looked at in the round that follows. That is posted
    /// first: where it cannot be, nothing changes.
    template <class Change>
    void change(Change&& change) {
        const std::lock_guard lock{mutex_};
        try {
            wake();
            change();
        } catch (...) {
            tear();
            throw;
        }
    }

    /// Takes the mutex. No round begins after it; one that another thread is in has ended.
    template <class Last>
    void close_loop(Last&& last) {
        std::unique_ptr<Loop> loop;
        std::unique_lock lock{mutex_};
        last();
        loop = std::move(loop_);
        visit_ended_.wait(
            lock, [&] { return visitor_ == std::thread::id{} || visitor_ == std::this_thread::get_id(); });
        lock.unlock();  // before the loop goes, whose timer calls nobody any more
    }

    /// Called with the mutex. False once closed.
    bool is_open() const noexcept { return loop_ != nullptr; }
    const Strand& strand() const noexcept { return loop_->strand; }

    /// Called with the mutex: the next round comes then at the latest; never for `Time::max()`.
    void set_timer(Time at) {
        if (!loop_) return;
        if (at == Time::max()) {
            loop_->timer.cancel();
            return;
        }
        loop_->timer.expires_at(std::chrono::time_point_cast<asio::steady_timer::duration>(at));
        loop_->timer.async_wait([weak = this->weak_from_this()](std::error_code error) {
            if (error) return;
            if (const auto self = weak.lock()) self->change([] {});
        });
    }

    mutable std::mutex mutex_;
    bool stale_ = true;  // the fleet changed
    bool torn_ = false;  // something has thrown

  private:
    // Memory may be there again, and what always throws does not keep the loop busy.
    static constexpr Duration rest = std::chrono::seconds{1};

    /// What must go before its execution context does, and so not live as long as what is under way.
    struct Loop {
        explicit Loop(const asio::any_io_executor& executor) : strand{executor}, timer{executor} {}
        Strand strand;
        asio::steady_timer timer;
    };

    /// Called with the mutex.
    void wake() {
        if (!loop_ || awake_) return;
        asio::post(loop_->strand, [self = this->shared_from_this()] { self->visit(); });
        awake_ = true;  // behind what may throw: else no other would be posted, ever
    }

    /// Called with the mutex.
    void tear() noexcept {
        stale_ = torn_ = true;
        try {
            set_timer(now() + rest);
        } catch (...) {  // then the next change makes a round
        }
    }

    /// On the strand.
    void visit() {
        {
            const std::lock_guard lock{mutex_};
            awake_ = false;
            if (!loop_) return;
            visitor_ = std::this_thread::get_id();
        }
        struct Leave {
            Rounds& rounds;
            ~Leave() {
                const std::lock_guard lock{rounds.mutex_};
                rounds.visitor_ = {};
                rounds.visit_ended_.notify_all();
            }
        } const leave{*this};
        try {
            static_cast<Derived&>(*this).round();
        } catch (...) {
            const std::lock_guard lock{mutex_};
            tear();
            throw;
        }
    }

    std::condition_variable visit_ended_;
    std::thread::id visitor_{};
    std::unique_ptr<Loop> loop_;  // null: closed
    bool awake_ = false;          // a round is posted
};

}  // namespace fairlead::detail
