// Looking up, waiting for it together, and forgetting.
#include "addresses.hpp"

#include <utility>

#include <asio/error.hpp>

namespace fairlead::detail {

Addresses::Found Addresses::find(const asio::any_io_executor& loop, Time now, Then then) {
    std::shared_ptr<LookUp> begun;
    Found known;
    {
        const std::lock_guard lock{mutex_};
        if (now - known_at_ >= useless) known_ = {};
        known = known_;
        if (!known.empty() && now - known_at_ < old) return known;
        auto lookup = under_way_.lock();
        if (!lookup) {
            lookup = begun = std::make_shared<LookUp>(LookUp{asio::ip::tcp::resolver{loop}, now});
            under_way_ = begun;
        }
        if (known.empty()) lookup->waiting.push_back(std::move(then));
    }
    if (begun) {
        begun->resolver.async_resolve(
            host_, port_, asio::ip::resolver_base::numeric_service,
            [self = shared_from_this(), begun](std::error_code error, const Found& found) {
                self->ended(*begun, error, found);
            });
    }
    return known;
}

void Addresses::ended(LookUp& lookup, std::error_code error, const Found& found) {
    std::vector<Then> waiting;
    {
        const std::lock_guard lock{mutex_};
        under_way_.reset();
        waiting.swap(lookup.waiting);
        if (!error) {
            known_ = found;
            known_at_ = lookup.asked_at;
        } else if (error == asio::error::host_not_found) {
            known_ = {};  // so the name's own server says; any other error says nothing of the name
        }
    }
    for (const auto& then : waiting) then(error, found);
}

void Addresses::forget() {
    const std::lock_guard lock{mutex_};
    known_ = {};
}

bool Addresses::are_known(Time now) {
    const std::lock_guard lock{mutex_};
    return !known_.empty() && now - known_at_ < useless;
}

}  // namespace fairlead::detail
