// Real time for the model: it is brought up to date whenever somebody looks, and told on the timer alone.
#include "mock_llm/modelled_engine.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <system_error>
#include <utility>

#include "mock_llm/paced_engine.hpp"

namespace mock_llm {
namespace {

fairlead::Time now() { return std::chrono::steady_clock::now(); }

inference::Profile telling_every_token(inference::Profile profile) {
    profile.every_token = true;
    return profile;
}

}  // namespace

std::unique_ptr<Engine> make_engine(asio::any_io_executor executor, const Speed& speed) {
    if (!speed.model) return std::make_unique<PacedEngine>(std::move(executor), speed);
    inference::Profile profile = *speed.model;
    profile.max_batch = static_cast<std::uint32_t>(speed.max_batch);
    profile.cache_blocks = speed.cache_blocks;
    profile.block_tokens = speed.block_tokens;
    return std::make_unique<ModelledEngine>(std::move(executor), profile);
}

ModelledEngine::ModelledEngine(asio::any_io_executor executor, const inference::Profile& profile)
    : engine_{telling_every_token(profile)}, timer_{std::move(executor)} {}

Engine::Id ModelledEngine::submit(Prompt prompt, std::size_t tokens, OnTokens on_tokens) {
    const Id id = next_id_++;
    catch_up();
    // What would not fit into the room ends where the room does.
    const std::uint64_t room = engine_.profile().room;
    const std::uint64_t asked = std::min<std::uint64_t>(prompt.tokens, room - 1);
    callbacks_.emplace(id, std::move(on_tokens));
    engine_.submit(id,
                   {.blocks = std::move(prompt.blocks),
                    .prompt_tokens = asked,
                    .output_tokens = std::min<std::uint64_t>(tokens, room - asked)},
                   now());
    set_timer();
    return id;
}

void ModelledEngine::cancel(Id id) {
    if (callbacks_.erase(id) == 0) return;
    catch_up();
    engine_.cancel(id, now());
    set_timer();
}

Figures ModelledEngine::figures() {
    catch_up();
    set_timer();
    const auto of_model = engine_.figures();
    Figures figures;
    figures.running = of_model.running;
    figures.waiting = of_model.waiting;
    figures.waiting_tokens = of_model.waiting_tokens;
    figures.cache_use = of_model.used;
    figures.prompt_tokens = of_model.prompt_tokens;
    figures.cached_tokens = of_model.cached_tokens;
    figures.generated_tokens = of_model.generated_tokens;
    return figures;
}

void ModelledEngine::catch_up() { engine_.advance(now(), events_); }

void ModelledEngine::set_timer() {
    const auto next = events_.empty() ? engine_.next() : std::optional{now()};
    if (!next) {
        timer_.cancel();
        return;
    }
    timer_.expires_at(std::chrono::time_point_cast<std::chrono::steady_clock::duration>(*next));
    timer_.async_wait([this, alive = std::weak_ptr{alive_}](std::error_code error) {
        if (error || alive.expired()) return;
        catch_up();
        for (const auto& event : std::exchange(events_, {})) {
            const auto found = callbacks_.find(event.id);
            if (found == callbacks_.end()) continue;  // cancelled, perhaps by a callback just now
            const auto tell = event.last ? std::move(callbacks_.extract(found).mapped()) : found->second;
            tell({static_cast<std::size_t>(event.tokens), event.last, event.cached_tokens});
        }
        set_timer();
    });
}

}  // namespace mock_llm
