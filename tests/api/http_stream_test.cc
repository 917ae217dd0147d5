#include <sys/resource.h>

#include <thread>

#include "tests/api/server_fixture.h"
#include "tests/api/test_certificate.h"

namespace curfew::api::testing {
namespace {

// Sends to all who listen. Thread-safe; calls them under its lock, as the strictest one would.
class Channel {
 public:
  using Send = std::function<void(std::string)>;
  std::shared_ptr<void> open(Send send, std::function<void()> end) {
    const std::scoped_lock lock(mutex_);
    const int id = next_++;
    send("hello");
    listeners_[id] = {std::move(send), std::move(end)};
    return {nullptr, [this, id](void*) {
              const std::scoped_lock releasing(mutex_);
              listeners_.erase(id);
              ++released_;
            }};
  }
  void send(const std::string& piece) {
    const std::scoped_lock lock(mutex_);
    for (const auto& [id, listener] : listeners_) listener.first(piece);
  }
  void end() {
    const std::scoped_lock lock(mutex_);
    for (const auto& [id, listener] : listeners_) listener.second();
  }
  std::size_t open_count() const {
    const std::scoped_lock lock(mutex_);
    return listeners_.size();
  }
  int released() const {
    const std::scoped_lock lock(mutex_);
    return released_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<int, std::pair<Send, std::function<void()>>> listeners_;
  int next_ = 0;
  int released_ = 0;
};

class HttpStreamTest : public ServerTest {
 protected:
  HttpStreamTest() {
    handler_ = [this](const HttpRequest& request) {
      if (request.target != "/stream") return echo(request);
      auto stream = std::make_shared<HttpStream>();
      stream->open = [this](Channel::Send send, std::function<void()> end) {
        return channel_.open(std::move(send), std::move(end));
      };
      stream->heartbeat = heartbeat_;
      stream->time = time_;
      HttpResponse response;
      response.content_type = "text/event-stream";
      response.stream = std::move(stream);
      return response;
    };
  }
  ~HttpStreamTest() override { server_.reset(); }

  void use_tls() {
    const TlsFiles files{folder_.path("server.pem"), folder_.path("server.key")};
    write_certificate(files, "first");
    options_.listeners[0].tls = files;
  }
  bool wait_for(std::size_t count) {
    return eventually(
        [&] { return server_->stats().streams == count && channel_.open_count() == count; });
  }
  // Opens a stream and reads up to its first piece.
  bool begin(RawClient& client) {
    if (!client.send(get("/stream")) || client.read().status != 200) return false;
    return client.read_chunk() == "hello";
  }

  TempFolder folder_;
  Channel channel_;
  std::string heartbeat_ = ":\n\n";
  Millis time_{60'000};
};

TEST_F(HttpStreamTest, PiecesComeAsChunks) {
  options_.workers = 1;  // no stream needs a worker
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send(get("/stream")));
  const RawAnswer head = client.read();
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-type"), "text/event-stream");
  EXPECT_EQ(head.headers.at("cache-control"), "no-store");
  EXPECT_EQ(head.headers.at("x-accel-buffering"), "no");
  EXPECT_EQ(head.headers.at("transfer-encoding"), "chunked");
  EXPECT_EQ(head.headers.at("connection"), "close");
  EXPECT_FALSE(head.headers.contains("content-length"));
  EXPECT_EQ(client.read_chunk(), "hello");
  EXPECT_EQ(RawClient(port()).exchange(get("/v1/other")).status, 200);
  channel_.send("data: 1\n\n");
  EXPECT_EQ(client.read_chunk(), "data: 1\n\n");
  channel_.send("data: 2\n\n");
  channel_.send("data: 3\n\n");
  EXPECT_EQ(client.read_chunk(), "data: 2\n\n");
  EXPECT_EQ(client.read_chunk(), "data: 3\n\n");
  channel_.end();
  EXPECT_EQ(client.read_chunk(), "");
  EXPECT_EQ(client.read_some(), "");
  EXPECT_TRUE(wait_for(0));
  channel_.send("to nobody");
  EXPECT_EQ(channel_.released(), 1);
}

TEST_F(HttpStreamTest, Http10GetsThePiecesBare) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send("GET /stream HTTP/1.0\r\n\r\n"));
  const RawAnswer head = client.read();
  EXPECT_FALSE(head.headers.contains("transfer-encoding"));
  EXPECT_FALSE(head.headers.contains("content-length"));
  channel_.send(" world");
  channel_.end();
  EXPECT_EQ(client.read_to_end(), "hello world");
}

TEST_F(HttpStreamTest, HeadGetsTheHeadersOnly) {
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send("HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n"));
  const RawAnswer head = client.read(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-type"), "text/event-stream");
  EXPECT_EQ(client.exchange(get("/v1/next")).status, 200);
  EXPECT_EQ(channel_.open_count(), 0u);
  EXPECT_EQ(channel_.released(), 0);
}

TEST_F(HttpStreamTest, AHeartbeatComesWhereNothingElseDoes) {
  options_.heartbeat = Millis{30};
  start();
  RawClient client(port());
  ASSERT_TRUE(begin(client));
  EXPECT_EQ(client.read_chunk(), heartbeat_);
  EXPECT_EQ(client.read_chunk(), heartbeat_);
}

TEST_F(HttpStreamTest, EndsWhenItsTimeIsOver) {
  time_ = Millis{50};
  heartbeat_ = "";
  start();
  RawClient client(port());
  ASSERT_TRUE(begin(client));
  EXPECT_EQ(client.read_chunk(), "");
  EXPECT_TRUE(wait_for(0));
}

TEST_F(HttpStreamTest, AClientThatGoesAwayIsLetGoOnce) {
  start();
  RawClient closing(port()), resetting(port()), talking(port());
  for (RawClient* client : {&closing, &resetting, &talking}) ASSERT_TRUE(begin(*client));
  ASSERT_TRUE(wait_for(3));
  closing.close();
  resetting.reset();
  ASSERT_TRUE(talking.send("GET /v1/more HTTP/1.1\r\n"));  // nobody reads it
  talking.close();
  ASSERT_TRUE(wait_for(0));
  channel_.send("late");
  EXPECT_TRUE(eventually([&] { return server_->stats().connections == 0; }));
  EXPECT_EQ(channel_.released(), 3);
}

TEST_F(HttpStreamTest, ASlowReaderIsCutOff) {
  start();
  RawClient slow(port(), 4'096), quick(port());
  ASSERT_TRUE(begin(slow));
  ASSERT_TRUE(begin(quick));
  const std::string piece(1'000, 'x');
  // What the kernel and the bound take together is far less than this.
  for (int i = 0; i < 20'000 && channel_.open_count() == 2; ++i) {
    channel_.send(piece);
    ASSERT_EQ(quick.read_chunk(), piece);
  }
  EXPECT_TRUE(wait_for(1));
  channel_.end();
  EXPECT_EQ(quick.read_chunk(), "");
}

TEST_F(HttpStreamTest, AReaderThatStopsIsCutOffInTime) {
  options_.write_timeout = Millis{100};
  options_.stream_bytes_max = 64 * 1024 * 1024;
  start();
  RawClient stuck(port(), 4'096);
  ASSERT_TRUE(begin(stuck));
  channel_.send(std::string(16 * 1024 * 1024, 'x'));
  EXPECT_TRUE(wait_for(0));
  EXPECT_TRUE(eventually([&] { return server_->stats().connections == 0; }));
}

TEST_F(HttpStreamTest, TheirNumberIsBounded) {
  options_.streams_max = 1;
  start();
  RawClient first(port()), second(port());
  ASSERT_TRUE(begin(first));
  const RawAnswer refused = second.exchange(get("/stream"));
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.headers.at("retry-after"), "1");
  first.close();
  ASSERT_TRUE(wait_for(0));
  EXPECT_TRUE(begin(second));
}

TEST_F(HttpStreamTest, StoppingEndsThem) {
  start();
  RawClient client(port());
  ASSERT_TRUE(begin(client));
  std::thread stopping([&] { server_->stop(Millis{20'000}); });
  EXPECT_EQ(client.read_chunk(), "");
  client.close();
  stopping.join();
  EXPECT_EQ(channel_.released(), 1);
}

TEST_F(HttpStreamTest, OneThatBeginsWhileTheServerStopsEndsAtOnce) {
  const HttpHandler streams = handler_;
  handler_ = [this, streams](HttpRequest request) {
    gate_.wait();
    return streams(std::move(request));
  };
  start();
  RawClient client(port());
  ASSERT_TRUE(client.send(get("/stream")));
  gate_.wait_for(1);
  const auto port_before = port();
  std::thread stopping([&] { server_->stop(Millis{20'000}); });
  EXPECT_TRUE(eventually([&] { return !RawClient(port_before).connected(); }));
  gate_.open();
  EXPECT_EQ(client.read().status, 200);
  EXPECT_EQ(client.read_chunk(), "hello");
  EXPECT_EQ(client.read_chunk(), "");
  client.close();
  stopping.join();
}

TEST_F(HttpStreamTest, StoppingWithoutGraceLetsGo) {
  start();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<RawClient>(port()));
    ASSERT_TRUE(begin(*clients.back()));
  }
  std::atomic<bool> done = false;
  std::thread sending([&] {
    while (!done) channel_.send("piece");
  });
  server_->stop(Millis{0});
  done = true;
  sending.join();
  EXPECT_EQ(channel_.released(), 20);
}

TEST_F(HttpStreamTest, WorksOverTls) {
  use_tls();
  options_.heartbeat = Millis{30};
  start();
  RawClient client(port()), leaving(port());
  ASSERT_TRUE(client.start_tls());
  ASSERT_TRUE(leaving.start_tls());
  ASSERT_TRUE(begin(client));
  ASSERT_TRUE(begin(leaving));
  leaving.close();
  ASSERT_TRUE(wait_for(1));
  EXPECT_EQ(client.read_chunk(), heartbeat_);
  channel_.end();
  while (const auto chunk = client.read_chunk())
    if (chunk->empty()) break;
  EXPECT_EQ(client.read_some(), "");
  EXPECT_TRUE(wait_for(0));
}

// Bytes of memory that this process has in use.
std::size_t resident_bytes() {
  std::size_t pages = 0, resident = 0;
  FILE* file = std::fopen("/proc/self/statm", "r");
  if (file == nullptr || std::fscanf(file, "%zu %zu", &pages, &resident) != 2) resident = 0;
  if (file != nullptr) std::fclose(file);
  return resident * 4096;
}

TEST_F(HttpStreamTest, OneEventReachesAThousand) {
  constexpr std::size_t kCount = 1'000;
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = std::min<rlim_t>(files.rlim_max, 4 * kCount);
  setrlimit(RLIMIT_NOFILE, &files);
  ASSERT_GE(files.rlim_cur, 2 * kCount + 100) << "raise the limit of open files (ulimit -n)";
  start();
  const std::size_t before = resident_bytes();
  std::vector<std::unique_ptr<RawClient>> clients;
  for (std::size_t i = 0; i < kCount; ++i) {
    clients.push_back(std::make_unique<RawClient>(port()));
    ASSERT_TRUE(begin(*clients.back())) << i;
  }
  ASSERT_TRUE(wait_for(kCount));
  const std::size_t bytes = (resident_bytes() - std::min(before, resident_bytes())) / kCount;
  RecordProperty("bytes_per_stream", std::to_string(bytes));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  EXPECT_LT(bytes, 10'000u);  // the test's own client among them
#endif
  channel_.send("event");
  for (const auto& client : clients) ASSERT_EQ(client->read_chunk(), "event");
  clients.clear();
  EXPECT_TRUE(wait_for(0));
}

}  // namespace
}  // namespace curfew::api::testing
