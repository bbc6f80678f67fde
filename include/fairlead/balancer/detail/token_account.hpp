// What a lease has put on its backend's account in tokens: from the pick to the end, whatever the strategy.
//
// Routers that count a request only when its answer begins see equal loads for as long as the first prefills
// take, and send everything that comes meanwhile to the same backend.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <utility>

#include <fairlead/balancer/detail/lease_access.hpp>
#include <fairlead/strategies/detail/account.hpp>

namespace fairlead::detail {

/// Each lease adds what it later takes back, by relaxed read-modify-writes: the sum over all that have ended
/// is 0, and a stale one costs a pick that is slightly off. All take no lock.
struct TokenAccount {
    /// The pick: `uncached` prompt tokens are to be computed, then about `expected` to be made.
    static void begin(Account& account, Lease& lease, std::uint64_t uncached,
                      std::uint64_t expected) noexcept {
        LeaseAccess::tokens(lease) = bounded(uncached);
        LeaseAccess::wait(lease) = Duration{static_cast<Duration::rep>(bounded(expected))};
        add(account.prefill, LeaseAccess::tokens(lease));
    }

    /// The first byte came: the prompt is done, the answer is being made. `stops_clock`: the latency ends
    /// here, and `streaming` says so.
    static void decode(Account& account, Lease& lease, bool stops_clock) noexcept {
        take(account.prefill, LeaseAccess::tokens(lease));
        LeaseAccess::tokens(lease) = static_cast<std::uint64_t>(LeaseAccess::wait(lease).count());
        add(account.tokens, LeaseAccess::tokens(lease));
        LeaseAccess::phase(lease) = stops_clock ? Phase::streaming : Phase::decoding;
        (stops_clock ? account.streaming : account.decoding).fetch_add(1, std::memory_order_relaxed);
    }

    /// So many tokens of the answer have come: they count when they are more than expected.
    static void came(Account& account, Lease& lease, std::uint64_t tokens) noexcept {
        const Phase phase = LeaseAccess::phase(lease);
        if (phase != Phase::streaming && phase != Phase::decoding) return;
        const std::uint64_t now = bounded(tokens);
        if (now <= LeaseAccess::tokens(lease)) return;
        add(account.tokens, now - std::exchange(LeaseAccess::tokens(lease), now));
    }

    /// The end, however it came.
    static void end(Account& account, Lease& lease) noexcept {
        if (LeaseAccess::plain(lease)) return;
        const std::uint64_t tokens = std::exchange(LeaseAccess::tokens(lease), 0);
        switch (LeaseAccess::phase(lease)) {
            case Phase::prefill:
                return take(account.prefill, tokens);
            case Phase::streaming:
                account.streaming.fetch_sub(1, std::memory_order_relaxed);
                return take(account.tokens, tokens);
            case Phase::decoding:
                account.decoding.fetch_sub(1, std::memory_order_relaxed);
                return take(account.tokens, tokens);
            case Phase::uncounted:
                return;
        }
    }

    /// The same, when no first byte was told of.
    [[gnu::always_inline]] static void end_prefill(Account& account, Lease& lease) noexcept {
        take(account.prefill, LeaseAccess::tokens(lease));
    }

  private:
    /// 2^40 tokens are more than a request can have; 2^20 of such requests still fit in the account.
    static std::uint64_t bounded(std::uint64_t tokens) noexcept {
        return std::min(tokens, std::uint64_t{1} << 40);
    }
    static void add(std::atomic<std::int64_t>& sum, std::uint64_t tokens) noexcept {
        if (tokens != 0) sum.fetch_add(static_cast<std::int64_t>(tokens), std::memory_order_relaxed);
    }
    [[gnu::always_inline]] static void take(std::atomic<std::int64_t>& sum, std::uint64_t tokens) noexcept {
        if (tokens != 0) sum.fetch_sub(static_cast<std::int64_t>(tokens), std::memory_order_relaxed);
    }
};

}  // namespace fairlead::detail
