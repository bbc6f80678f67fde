// A TLS server for tests, with an authority and certificates made on the spot.
#pragma once

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "support/raw_peer.hpp"

namespace fairlead::test {

/// A key with a certificate, signed by an authority or by itself.
class Certificate {
  public:
    /// `alternative` is a subjectAltName such as "IP:127.0.0.1"; empty makes an authority.
    explicit Certificate(const std::string& alternative, const Certificate* signer = nullptr) {
        static long serial = 1;
        auto* x = certificate_.get();
        X509_set_version(x, 2);  // stands for version 3
        ASN1_INTEGER_set(X509_get_serialNumber(x), serial++);
        X509_gmtime_adj(X509_getm_notBefore(x), -3600);
        X509_gmtime_adj(X509_getm_notAfter(x), 3600);
        X509_set_pubkey(x, key_.get());
        const std::string name = alternative.empty() ? "test authority" : "test server";
        X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
        const auto& by = signer != nullptr ? *signer : *this;
        X509_set_issuer_name(x, X509_get_subject_name(by.certificate()));
        alternative.empty() ? extend(NID_basic_constraints, "critical,CA:TRUE")
                            : extend(NID_subject_alt_name, alternative);
        if (X509_sign(x, by.key(), EVP_sha256()) == 0) throw std::runtime_error{"cannot sign a certificate"};
    }

    X509* certificate() const noexcept { return certificate_.get(); }
    EVP_PKEY* key() const noexcept { return key_.get(); }

  private:
    void extend(int kind, const std::string& value) {
        X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str());
        X509_add_ext(certificate_.get(), extension, -1);
        X509_EXTENSION_free(extension);
    }

    std::unique_ptr<X509, void (*)(X509*)> certificate_{X509_new(), X509_free};
    std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key_{EVP_EC_gen("P-256"), EVP_PKEY_free};
};

/// A certificate in a file of its own, as long as this lives.
class PemFile {
  public:
    explicit PemFile(const Certificate& certificate) {
        path_ = (std::filesystem::temp_directory_path() / "fairlead-test-XXXXXX").string();
        const int file = ::mkstemp(path_.data());
        std::FILE* stream = ::fdopen(file, "w");
        PEM_write_X509(stream, certificate.certificate());
        std::fclose(stream);
    }
    PemFile(const PemFile&) = delete;
    PemFile& operator=(const PemFile&) = delete;
    ~PemFile() { std::filesystem::remove(path_); }

    const std::string& path() const noexcept { return path_; }

  private:
    std::string path_;
};

/// Answers every request with `text` over TLS; then, after the last, closes with or without a farewell.
class TlsPeer {
  public:
    /// `before_answer` is called for each request, in the peer's thread; `record`: the most bytes in one, at
    /// least 512.
    TlsPeer(
        const Certificate& certificate, std::string text, int requests = 1'000, bool farewell = true,
        std::function<void()> before_answer = [] {}, unsigned record = SSL3_RT_MAX_PLAIN_LENGTH)
        : text_{std::move(text)},
          requests_{requests},
          farewell_{farewell},
          before_answer_{std::move(before_answer)} {
        SSL_CTX_set_max_send_fragment(context_.get(), record);
        SSL_CTX_use_certificate(context_.get(), certificate.certificate());
        SSL_CTX_use_PrivateKey(context_.get(), certificate.key());
    }

    std::uint16_t port() const noexcept { return peer_.port(); }
    int connections() const noexcept { return peer_.connections(); }
    void wait_for_ended(int count) { peer_.wait_for_ended(count); }
    /// The server name that the last client gave, for use after its exchange.
    std::string server_name() {
        const std::lock_guard lock{mutex_};
        return server_name_;
    }

  private:
    void serve(RawPeer::Connection& connection) {
        // OpenSSL writes without MSG_NOSIGNAL: a client that refuses the server must not end the test.
        sigset_t pipe{};
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
        const std::unique_ptr<SSL, void (*)(SSL*)> ssl{SSL_new(context_.get()), SSL_free};
        SSL_set_fd(ssl.get(), connection.socket());
        if (SSL_accept(ssl.get()) != 1) return;
        if (const char* name = SSL_get_servername(ssl.get(), TLSEXT_NAMETYPE_host_name)) {
            const std::lock_guard lock{mutex_};
            server_name_ = name;
        }
        std::string request;
        char bytes[4096];
        for (int i = 0; i < requests_; ++i) {
            request.clear();
            while (request.find("\r\n\r\n") == std::string::npos) {
                const int got = SSL_read(ssl.get(), bytes, sizeof bytes);
                if (got <= 0) return;
                request.append(bytes, static_cast<std::size_t>(got));
            }
            before_answer_();
            if (SSL_write(ssl.get(), text_.data(), static_cast<int>(text_.size())) <= 0) return;
        }
        if (farewell_) SSL_shutdown(ssl.get());
    }

    std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_{SSL_CTX_new(TLS_server_method()), SSL_CTX_free};
    std::string text_;
    int requests_;
    bool farewell_;
    std::function<void()> before_answer_;
    std::mutex mutex_{};
    std::string server_name_{};
    RawPeer peer_{[this](RawPeer::Connection& connection) { serve(connection); }};
};

}  // namespace fairlead::test
