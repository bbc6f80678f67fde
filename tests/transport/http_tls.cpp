// TLS: who is trusted, who is not, and that a cut connection is no end.
#include <chrono>
#include <csignal>
#include <cstddef>
#include <functional>
#include <future>
#include <optional>
#include <string>

#include "support/catch.hpp"
#include "support/http_exchange.hpp"
#include "support/tls_peer.hpp"

using namespace fairlead;
using namespace fairlead::test;
using namespace std::chrono_literals;
using E = TransportErrc;

namespace {

// OpenSSL writes without MSG_NOSIGNAL: a client that refuses the server must not end the test.
const auto ignored = std::signal(SIGPIPE, SIG_IGN);

std::string url(const TlsPeer& peer, const std::string& host = "127.0.0.1") {
    return "https://" + host + ":" + std::to_string(peer.port());
}

}  // namespace

TEST_CASE("a certificate is accepted with its authority's file, refused without, and for another host") {
    const Certificate authority{""};
    const PemFile ca{authority};
    const Certificate address{"IP:127.0.0.1", &authority};
    const Certificate other{"DNS:elsewhere.example", &authority};
    asio::io_context io;
    HttpTransport plain{io};
    HttpTransport trusting{io, {.tls = {.ca_file = ca.path()}}};
    HttpTransport careless{io, {.tls = {.verification = TlsVerification::none_which_is_unsafe}}};

    TlsPeer good{address, answer("ok")};
    CHECK(send(io, trusting, backend_at(url(good)), post()).response.body == "ok");
    CHECK(send(io, plain, backend_at(url(good)), post()).error == E::certificate_refused);
    CHECK(send(io, careless, backend_at(url(good)), post()).response.body == "ok");

    TlsPeer wrong{other, answer("ok")};
    CHECK(send(io, trusting, backend_at(url(wrong)), post()).error == E::certificate_refused);
    CHECK(send(io, careless, backend_at(url(wrong)), post()).response.body == "ok");

    TlsPeer named{Certificate{"DNS:localhost", &authority}, answer("ok")};
    CHECK(send(io, trusting, backend_at(url(named, "localhost")), post()).response.body == "ok");
    CHECK(named.server_name() == "localhost");
    CHECK(good.server_name().empty());  // an address is no name
}

TEST_CASE("a TLS connection is used again, and read piece by piece") {
    const Certificate authority{""};
    const PemFile ca{authority};
    // More than one record, and more than a read takes.
    const std::string large(100'000, 'x');
    TlsPeer peer{Certificate{"IP:127.0.0.1", &authority}, answer(large)};
    asio::io_context io;
    HttpTransport http{io, {.tls = {.ca_file = ca.path()}}};
    for (int i = 0; i < 5; ++i) {
        CHECK(send(io, http, backend_at(url(peer)), post("")).response.body == large);
        auto opened = open(io, http, backend_at(url(peer)), get());
        const auto all = read_all(io, opened.body, 1000);
        CHECK(all.error == asio::error::eof);
        CHECK(all.data == large);
        CHECK(http.idle_connections() == 1);
    }
    CHECK(peer.connections() == 1);
}

TEST_CASE("what has come in many records is not read in one turn of the loop") {
    const bool one_thread = GENERATE(false, true);
    constexpr unsigned record = 512;
    constexpr int records = 100;
    const Certificate authority{""};
    const PemFile ca{authority};
    std::promise<void> asked;
    std::promise<void> answers;
    const auto text = answer(std::string(records * record, 'x'));
    const auto hold = [&] {
        asked.set_value();
        answers.get_future().wait();
    };
    TlsPeer peer{Certificate{"IP:127.0.0.1", &authority}, text, 1, true, hold, record};
    asio::io_context io;
    HttpTransport http{io, {.one_thread = one_thread, .tls = {.ca_file = ca.path()}}};
    std::optional<std::size_t> size;
    http.async_send(backend_at(url(peer)), get(), {},
                    [&](std::error_code, const HttpResponse& got) { size = got.body.size(); });
    const auto is_asked = asked.get_future();
    while (is_asked.wait_for(0s) != std::future_status::ready) io.run_one_for(1ms);
    answers.set_value();
    peer.wait_for_ended(1);
    std::size_t turns = 0;
    while (!size) turns += io.run_one();
    CHECK(size == std::size_t{records * record});
    CHECK(turns > records / 16);
}

TEST_CASE("over TLS the connection's end is a body's end only with a farewell") {
    const Certificate authority{""};
    const PemFile ca{authority};
    asio::io_context io;
    HttpTransport http{io, {.tls = {.ca_file = ca.path()}}};
    const Certificate address{"IP:127.0.0.1", &authority};
    TlsPeer polite{address, "HTTP/1.1 200 OK\r\n\r\ntext", 1};
    CHECK(send(io, http, backend_at(url(polite)), get()).response.body == "text");
    TlsPeer cut{address, "HTTP/1.1 200 OK\r\n\r\ntext", 1, false};
    CHECK(send(io, http, backend_at(url(cut)), get()).error == E::truncated_tls);
}

TEST_CASE("plain text where TLS is spoken, and the other way round, is told") {
    asio::io_context io;
    HttpTransport http{io};
    RawPeer plain{[](RawPeer::Connection& c) {
        c.send("HTTP/1.1 400 Bad Request\r\n\r\n");
        c.wait_for_close();
    }};
    CHECK(send(io, http, backend_at("https://127.0.0.1:" + std::to_string(plain.port())), post()).error ==
          E::tls_failed);
    const Certificate self{"IP:127.0.0.1"};
    TlsPeer tls{self, answer("ok")};
    const auto error =
        send(io, http, backend_at("http://127.0.0.1:" + std::to_string(tls.port())), post()).error;
    // The server may send an alert or just close.
    CHECK((error == E::not_http || error == E::closed_before_response || error == E::connection_reset));
}

TEST_CASE("a file of authorities that cannot be read is a wrong set-up") {
    asio::io_context io;
    const HttpTransportOptions options{.tls = {.ca_file = "/nonexistent/authorities.pem"}};
    CHECK_THROWS_AS((HttpTransport{io, options}), std::system_error);
}
