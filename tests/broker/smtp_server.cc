#include "tests/broker/smtp_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <stdexcept>

#include "base/encoding.h"

namespace curfew::test {

SmtpServer::SmtpServer() {
  std::signal(SIGPIPE, SIG_IGN);
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (listener_ < 0 || bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener_, 8) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("smtp server: no socket");
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

SmtpServer::~SmtpServer() {
  shutdown(listener_, SHUT_RDWR);
  thread_.join();
  close(listener_);
}

std::vector<Mail> SmtpServer::mails() const {
  const std::scoped_lock lock(mutex_);
  return mails_;
}

void SmtpServer::refuse(int code) {
  const std::scoped_lock lock(mutex_);
  refused_with_ = code;
}

void SmtpServer::serve() {
  for (int connection = accept(listener_, nullptr, nullptr); connection >= 0;
       connection = accept(listener_, nullptr, nullptr)) {
    talk(connection);
    close(connection);
  }
}

// What is said to a line outside of DATA; empty: the end.
std::string SmtpServer::answer(const std::string& line, Mail& mail) {
  if (line.starts_with("EHLO")) return "250-here\r\n250 AUTH PLAIN\r\n";
  if (line == "AUTH PLAIN") {
    mail.login = "?";
    return "334 \r\n";
  }
  if (mail.login == "?") {
    mail.login = base64_decode(line).value_or("not base64");
    return "235 in\r\n";
  }
  if (line.starts_with("MAIL FROM:")) {
    mail.from = line.substr(10);
    return "250 ok\r\n";
  }
  if (line.starts_with("RCPT TO:")) {
    const std::scoped_lock lock(mutex_);
    if (refused_with_ != 0) return std::to_string(refused_with_) + " no\r\n";
    mail.to.push_back(line.substr(8));
    return "250 ok\r\n";
  }
  if (line == "DATA") return "354 go on\r\n";
  if (line == "QUIT") return "";
  return "250 ok\r\n";
}

void SmtpServer::talk(int connection) {
  const auto say = [&](const std::string& text) {
    return send(connection, text.data(), text.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(text.size());
  };
  if (!say("220 here\r\n")) return;
  Mail mail;
  std::string text;
  bool in_data = false;
  char buffer[4096];
  for (ssize_t got = 0; (got = recv(connection, buffer, sizeof buffer, 0)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(got));
    for (std::size_t end = 0;
         (end = text.find(in_data ? "\r\n.\r\n" : "\r\n")) != std::string::npos;) {
      const std::string part = text.substr(0, end);
      text.erase(0, end + (in_data ? 5 : 2));
      if (in_data) {
        mail.data = part + "\r\n";
        in_data = false;
        const std::scoped_lock lock(mutex_);
        mails_.push_back(mail);
        if (!say("250 taken\r\n")) return;
        continue;
      }
      const std::string said = answer(part, mail);
      if (said.empty() || !say(said)) return;
      in_data = part == "DATA";
    }
  }
}

}  // namespace curfew::test
