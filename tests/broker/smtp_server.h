#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace curfew::test {

// What one message came with.
struct Mail {
  std::string from;
  std::vector<std::string> to = {};
  std::string login = {};  // of AUTH PLAIN, decoded: "\0user\0password"
  std::string data = {};   // headers and body
};

// A mail server on 127.0.0.1 without TLS that takes everything, one connection at a time. Throws
// where it cannot begin.
class SmtpServer {
 public:
  SmtpServer();
  ~SmtpServer();
  SmtpServer(const SmtpServer&) = delete;
  SmtpServer& operator=(const SmtpServer&) = delete;

  std::string url() const { return "smtp://127.0.0.1:" + std::to_string(port_); }
  std::vector<Mail> mails() const;
  // From now on recipients are refused with this code; 0: none are.
  void refuse(int code);

 private:
  void serve();
  void talk(int connection);
  std::string answer(const std::string& line, Mail& mail);

  int listener_ = -1;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::vector<Mail> mails_;  // guarded by mutex_
  int refused_with_ = 0;     // guarded by mutex_
  std::thread thread_;
};

}  // namespace curfew::test
