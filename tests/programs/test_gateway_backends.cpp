// The gateway before backends that a test has written down byte for byte: what arrives there, and what their
// ends mean.
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <fairlead/control/load_settings.hpp>

#include "programs/recorder.hpp"
#include "programs/world.hpp"
#include "support/catch.hpp"
#include "support/raw_peer.hpp"
#include "support/tls_peer.hpp"

using fairlead::test::RawPeer;
using test::body_of;
using test::chat;
using test::get;
using test::hello;
using test::hello_stream;
using test::post;
using test::Recorder;
using test::status_of;
using test::World;

namespace {

std::string chunked(std::initializer_list<std::string_view> pieces,
                    std::string_view type = "text/event-stream", std::string_view more = "") {
    std::string text{"HTTP/1.1 200 OK\r\nContent-Type: "};
    text.append(type).append("\r\n").append(more).append("Transfer-Encoding: chunked\r\n\r\n");
    for (const auto piece : pieces) {
        constexpr std::string_view digits = "0123456789abcdef";
        text.append({digits[piece.size() / 16], digits[piece.size() % 16]})
            .append("\r\n")
            .append(piece)
            .append("\r\n");
    }
    return text + "0\r\n\r\n";
}

constexpr auto token = "data: {\"choices\":[]}\n\n";

/// Relays a stream that ends as `answer` says. Whether the client saw a proper end, and whether the backend
/// was given a failure, must agree.
bool counts_as_complete(const std::string& answer, const std::string& target = "/v1/chat/completions") {
    Recorder backend{answer};
    World world;
    world.backend_at("b", backend.url());
    world.settings.options.ejection = false;
    world.start();
    const auto got = world.connect().send(post(target, hello_stream, "Connection: close\r\n")).read_all();
    CHECK(status_of(got) == 200);
    CHECK(got.find(token) != std::string::npos);
    CHECK(world.eventually([&] { return world.in_flight() == 0; }));
    const auto figures = world.gateway().balancer().snapshot().front();
    CHECK(figures.completed == 1);
    const bool complete = got.ends_with("0\r\n\r\n");
    CHECK(figures.failed == (complete ? 0 : 1));
    return complete;
}

std::string form(std::string_view model, std::string_view content_type) {
    std::string body{
        "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n\x01\r\n"};
    if (!model.empty()) {
        body.append("--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n")
            .append(model)
            .append("\r\n");
    }
    body += "--B--\r\n";
    std::string request{"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: test\r\nContent-Type: "};
    request.append(content_type)
        .append("\r\nContent-Length: ")
        .append(std::to_string(body.size()))
        .append("\r\n\r\n");
    return request + body;
}

std::string served_by(const std::string& response) {
    const auto at = response.find("X-Fairlead-Backend: ");
    return at == std::string::npos ? "" : response.substr(at + 20, response.find("\r\n", at) - at - 20);
}

}  // namespace

TEST_CASE(
    "a stream of completions that ends without [DONE] is a failure of the backend, and seen by the client") {
    CHECK(counts_as_complete(chunked({token, "data: [DONE]\n\n"})));
    CHECK(counts_as_complete(chunked({token, "data: [DO", "NE]\n\n"})));
    CHECK(counts_as_complete(chunked({token, "data: [DONE]"})));
    CHECK(counts_as_complete(chunked({token, "data: [DONE]\n\n"}), "/v1/completions?x=y"));
    CHECK_FALSE(counts_as_complete(chunked({token})));
    CHECK_FALSE(counts_as_complete(chunked({token, "data: [DON"})));
    CHECK_FALSE(counts_as_complete(chunked({token, "data: {\"content\":\"[DONE]\"}\n\n"})));
    CHECK_FALSE(counts_as_complete(chunked({token}, "Text/Event-Stream; charset=utf-8"), "/v1/completions"));
}

TEST_CASE("a stream of completions without an event is begun for its client before it is broken off") {
    Recorder backend{chunked({})};
    World world;
    world.backend_at("b", backend.url());
    world.settings.options.ejection = false;
    world.start();
    const auto got = world.connect().send(post(chat, hello_stream)).read_all();
    CHECK(status_of(got) == 200);
    CHECK(body_of(got).empty());
}

TEST_CASE("what does not end with [DONE] by its nature is complete without") {
    CHECK(counts_as_complete(chunked({token}), "/v1/responses"));
    CHECK(counts_as_complete(chunked({token}, "application/json")));
    CHECK(counts_as_complete(chunked({token}, "text/event-stream", "Content-Encoding: gzip\r\n")));
}

TEST_CASE("comments alone keep a stream alive, unless the settings say that they are no answer") {
    const bool comments_count = GENERATE(true, false);
    // The silence that is allowed must be as long as the engine may have to wait for the machine: doubled
    // until it is.
    for (auto silence = std::chrono::milliseconds{20};; silence *= 2) {
        REQUIRE(silence < std::chrono::minutes{1});
        // Only time that was waited counts as silence: where comments are none it may take longer to add up.
        const std::chrono::milliseconds patience = comments_count ? 3 * silence : std::chrono::minutes{1};
        fairlead::test::RawPeer engine{[patience, silence](auto& connection) {
            connection.read_request();
            connection.send(std::string{"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"} +
                            token);
            const auto end = std::chrono::steady_clock::now() + patience;
            const auto pause = std::max<int>(1, static_cast<int>(silence.count()) / 8);
            while (std::chrono::steady_clock::now() < end) {
                if (!connection.send(": ping\n\n")) return;
                pollfd left{connection.socket(), POLLRDHUP, 0};
                ::poll(&left, 1, pause);
            }
            connection.send("data: [DONE]\n\n");
        }};
        World world;
        world.settings.comments_count = comments_count;
        world.backend_at("only", engine.url()).idle_timeout = silence;
        world.settings.options.health_check = false;
        world.start();
        const auto got = world.connect().send(post(chat, hello_stream, "Connection: close\r\n")).read_all();
        const bool complete = got.ends_with("0\r\n\r\n");
        REQUIRE(world.eventually([&] { return world.in_flight() == 0; }));
        const auto figures = world.gateway().balancer().snapshot().front();
        CHECK(figures.outcomes[fairlead::Outcome::timeout] == (complete ? 0 : 1));
        if (!comments_count) CHECK_FALSE(complete);
        if (!comments_count || complete) break;
    }
}

TEST_CASE("a type is JSON in any case, and a body of another type names no model") {
    Recorder a;
    Recorder b;
    World world;
    world.backend_at("a", a.url(), "model-a");
    world.backend_at("b", b.url(), "model-b");
    world.start();
    const std::string body = R"({"model":"model-b"})";
    const auto typed = [&](const std::string& type) {
        return "POST /v1/chat/completions HTTP/1.1\r\nHost: test\r\nContent-Type: " + type +
               "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    };
    for (const auto* type : {"application/json", "Application/JSON", "APPLICATION/JSON; Charset=UTF-8",
                             "application/vnd.api+json", "Application/X-WWW-Form-Urlencoded"}) {
        INFO(type);
        CHECK(served_by(world.ask(typed(type))) == "b");
    }
    CHECK(status_of(world.ask(typed("text/plain; x=json"))) == 400);
}

TEST_CASE("a form's model chooses the backend, and is rewritten to the backend's own") {
    Recorder a;
    Recorder b;
    World world;
    world.backend_at("a", a.url(), "whisper-a");
    world.backend_at("b", b.url(), "whisper-b");
    world.settings.model_aliases = {{"whisper-1", "whisper-b"}};
    world.start();
    const std::string type = "Multipart/Form-Data; boundary=B";
    CHECK(served_by(world.ask(form("whisper-a", type))) == "a");
    CHECK(a.last().find("name=\"model\"\r\n\r\nwhisper-a\r\n--B--\r\n") != std::string::npos);
    CHECK(served_by(world.ask(form("whisper-1", type))) == "b");
    // With its own length: the recorder reads no further than that says.
    CHECK(b.last().ends_with("name=\"model\"\r\n\r\nwhisper-b\r\n--B--\r\n"));

    const auto error = [](const std::string& response) {
        return nlohmann::json::parse(body_of(response))["error"];
    };
    const auto unknown = world.ask(form("whisper-c", type));
    CHECK(status_of(unknown) == 404);
    CHECK(error(unknown)["code"] == "model_not_found");
    const auto missing = world.ask(form("", type));
    CHECK(status_of(missing) == 400);
    CHECK(error(missing)["param"] == "model");
    const auto malformed = world.ask(form("whisper-a", "multipart/form-data; boundary=C"));
    CHECK(status_of(malformed) == 400);
    CHECK(error(malformed)["message"].get<std::string>().find("valid form") != std::string::npos);
    CHECK(a.count() + b.count() == 2);
}

TEST_CASE("where one model is served a form may name any or none, and a stored file's form stays as it is") {
    Recorder a;
    World world;
    world.backend_at("a", a.url(), "own");
    world.start();
    const std::string type = "multipart/form-data; boundary=B";
    for (const auto* model : {"any", ""}) {
        CHECK(status_of(world.ask(form(model, type))) == 200);
        CHECK(a.last().find("name=\"model\"\r\n\r\nown\r\n--B") != std::string::npos);
    }
    auto upload = form("", type);
    upload.replace(upload.find("/v1/audio/transcriptions"), 24, "/v1/files");
    CHECK(status_of(world.ask(upload)) == 200);
    CHECK(a.last().find("name=\"model\"") == std::string::npos);
}

TEST_CASE("a backend with a key gets its own and none of the client's; one without gets the client's") {
    Recorder keyed;
    Recorder open;
    World world;
    world.backend_at("keyed", keyed.url(), "k").api_key = "backend-key";
    world.backend_at("open", open.url(), "o");
    world.start();
    const std::string keys =
        "Authorization: Bearer client-key\r\nX-API-Key: client-x\r\napi-key: client-a\r\n";
    CHECK(status_of(world.ask(post(chat, R"({"model":"k"})", keys))) == 200);
    const auto to_keyed = keyed.last();
    CHECK(to_keyed.find("Authorization: Bearer backend-key\r\n") != std::string::npos);
    CHECK(to_keyed.find("client-") == std::string::npos);

    CHECK(status_of(world.ask(post(chat, R"({"model":"o"})", keys))) == 200);
    const auto to_open = open.last();
    CHECK(to_open.find("Authorization: Bearer client-key\r\n") != std::string::npos);
    CHECK(to_open.find("X-API-Key: client-x\r\n") != std::string::npos);
    CHECK(to_open.find("api-key: client-a\r\n") != std::string::npos);
    CHECK(to_open.find("backend-key") == std::string::npos);

    // Without any from the client: only what is ours to give.
    CHECK(status_of(world.ask(post(chat, R"({"model":"o"})"))) == 200);
    CHECK(open.last().find("uthorization") == std::string::npos);
    CHECK(status_of(world.ask(post(chat, R"({"model":"k"})"))) == 200);
    CHECK(keyed.last().find("Authorization: Bearer backend-key\r\n") != std::string::npos);
}

TEST_CASE("a backend over TLS is trusted by the authority in FAIRLEAD_TLS_CA_FILE, and refused without it") {
    const fairlead::test::Certificate authority{""};
    const fairlead::test::PemFile ca{authority};
    const fairlead::test::Certificate certificate{"IP:127.0.0.1", &authority};
    fairlead::test::TlsPeer backend{certificate, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"};
    const auto url = "https://127.0.0.1:" + std::to_string(backend.port());
    for (const bool trusted : {true, false}) {
        fairlead::SettingsSources sources;
        sources.env_file = "";
        sources.environment = {{"VLLM_SERVER_URL", url}};
        if (trusted) sources.environment->emplace("FAIRLEAD_TLS_CA_FILE", ca.path());
        World world;
        world.settings = fairlead::load_settings(sources);
        world.start();
        const auto response = world.ask(get("/v1/models"));
        CHECK(status_of(response) == (trusted ? 200 : 502));
        CHECK((body_of(response) == "ok") == trusted);
    }
}
