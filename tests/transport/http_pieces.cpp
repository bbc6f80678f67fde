// Reading a body without a buffer of one's own: what came with the head, and piece by piece after it.
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <system_error>

#include <asio/bind_executor.hpp>
#include <asio/error.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>

#include <fairlead/transport/http_transport.hpp>

#include "support/catch.hpp"
#include "support/http_exchange.hpp"

using namespace fairlead;
using namespace fairlead::test;

namespace {

constexpr auto chunked_head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Opens, takes what came with the head, reads the rest in pieces; runs the loop until the end.
struct Reading {
    Reading(
        const std::string& url, bool one_thread, bool elsewhere,
        const std::function<void()>& opened_ = [] {}) {
        HttpTransportOptions options;
        options.one_thread = one_thread;
        HttpTransport http{io, options};
        http.async_open(backend_at(url), post(), {},
                        [&](std::error_code error, const HttpResponse&, HttpBody opened) {
                            CHECK_FALSE(error);
                            body = std::move(opened);
                            opened_();
                            ready = body.take_ready();
                            text = ready.data;
                            read(elsewhere);
                        });
        while (!end) io.run_one();
    }

    void read(bool elsewhere) {
        const auto on_piece = [this, elsewhere](std::error_code error, const HttpPiece& piece) {
            text += piece.view();
            if (piece.size() > 0) ++pieces;
            if (error) {
                end = error;
            } else {
                read(elsewhere);
            }
        };
        if (elsewhere) return body.async_read_piece(asio::bind_executor(asio::make_strand(io), on_piece));
        body.async_read_piece(on_piece);
    }

    asio::io_context io{1};
    HttpBody body{};
    HttpReady ready{};
    std::string text{};
    int pieces = 0;
    std::optional<std::error_code> end{};
};

}  // namespace

TEST_CASE("a body is read in pieces to its end, lent or copied, on the transport's executor or another") {
    RawPeer peer{[](RawPeer::Connection& c) {
        c.read_request();
        c.send(chunked_head);
        for (const auto* chunk : {"5\r\nhello\r\n", "1\r\n \r\n", "5\r\nworld\r\n"}) c.send(chunk);
        c.send("0\r\n\r\n");
        c.wait_for_close();
    }};
    for (const bool one_thread : {false, true}) {
        for (const bool elsewhere : {false, true}) {
            INFO(one_thread << elsewhere);
            const Reading reading{peer.url(), one_thread, elsewhere};
            CHECK(reading.text == "hello world");
            CHECK(*reading.end == asio::error::eof);
        }
    }
}

TEST_CASE("what came whole with its head is had at once, and reading on gives the end") {
    RawPeer peer{always(answer("all of it"))};
    const Reading reading{peer.url(), true, false};
    CHECK(reading.ready.complete);
    CHECK(reading.ready.data == "all of it");
    CHECK(reading.text == "all of it");
    CHECK(*reading.end == asio::error::eof);
}

TEST_CASE("a body that ends early is broken, read in pieces too") {
    RawPeer peer{says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")};
    const Reading reading{peer.url(), true, false};
    CHECK_FALSE(reading.ready.complete);
    CHECK(reading.text == "hello");
    CHECK(*reading.end == make_error_code(TransportErrc::truncated_length));
}

TEST_CASE("chunks that have come are read as one piece, and then is told how the body broke") {
    for (const bool one_thread : {false, true}) {
        for (const bool malformed : {false, true}) {
            const std::string broken_by = malformed ? "x" : "";
            const auto error = malformed ? TransportErrc::bad_chunk_size : TransportErrc::truncated_chunks;
            INFO(one_thread << broken_by);
            std::promise<void> opened;
            const auto reader_is_there = opened.get_future();
            RawPeer peer{[&](RawPeer::Connection& c) {
                c.read_request();
                c.send(chunked_head);
                reader_is_there.wait();
                c.send(std::string{"5\r\nhello\r\n6\r\n world\r\n"} + broken_by);
            }};
            const Reading reading{peer.url(), one_thread, false, [&] {
                                      opened.set_value();
                                      peer.wait_for_ended(1);
                                  }};
            CHECK(reading.text == "hello world");
            CHECK(reading.pieces == 1);
            CHECK(*reading.end == make_error_code(error));
        }
    }
}
