// SPDX-License-Identifier: Apache-2.0

//go:build linux

// What an idle connection costs. The clients are bare sockets of the same process, which cost the kernel only.

package gateway

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"

	tidemark "github.com/tidemark-im/tidemark"
	"github.com/tidemark-im/tidemark/core"
	"github.com/tidemark-im/tidemark/wire"
)

// idleBytesMax is what an idle connection may cost in live objects and stack, its session included.
const idleBytesMax = 4608

// bareClient upgrades and says hello on a socket that the runtime does not know; it returns the descriptor.
func (w *world) bareClient(address syscall.SockaddrInet4, token, device string) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := syscall.Connect(fd, &address); err != nil {
		return fd, err
	}
	var request strings.Builder
	request.WriteString("GET /v1/connect HTTP/1.1\r\nHost: x\r\n")
	header := but("Sec-WebSocket-Protocol", wire.SubprotocolProto)
	header.Set("Authorization", "Bearer "+token)
	_ = header.Write(&request)
	request.WriteString("\r\n")
	hello, _ := wire.AppendClientFrame(nil, wire.Proto, &wire.ClientFrame{Frame: &wire.ClientFrame_Hello{Hello: &wire.Hello{DeviceId: device}}})
	request.Write(masked(ws.OpBinary, true, string(hello)))
	if _, err := syscall.Write(fd, []byte(request.String())); err != nil {
		return fd, err
	}
	return fd, awaitSynced(fd)
}

// awaitSynced reads the answer to hello.
func awaitSynced(fd int) error {
	var answer []byte
	buf := make([]byte, 4096)
	for {
		n, err := syscall.Read(fd, buf)
		if err != nil || n == 0 {
			return fmt.Errorf("%q: %w", answer, err)
		}
		answer = append(answer, buf[:n]...)
		_, frames, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
		for r := bytes.NewReader(frames); r.Len() > 0; {
			//lint:ignore SA1019 the frames are our own: nobody sends long ones here
			f, err := ws.ReadFrame(r)
			if err != nil {
				break
			}
			if m, err := wire.DecodeServerFrame(wire.Proto, f.Payload); err != nil || m.GetSynced() != nil {
				return err
			}
		}
	}
}

// residentBytes is the memory of the process, after everything that can be given back has been.
func residentBytes(t testing.TB) int64 {
	t.Helper()
	for range 4 { // stacks shrink by half at each collection
		runtime.GC()
	}
	debug.FreeOSMemory()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var total, resident int64
	if _, err := fmt.Sscan(string(data), &total, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}

// idleCost opens n connections and measures what each adds.
func idleCost(t testing.TB, w *world, n int) (resident, heap, stack float64) {
	t.Helper()
	var address syscall.SockaddrInet4
	var port int
	if _, err := fmt.Sscanf(w.server.Listener.Addr().String(), "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	address.Port, address.Addr = port, [4]byte{127, 0, 0, 1}
	var fds []int
	defer func() {
		for _, fd := range fds {
			_ = syscall.Close(fd)
		}
	}()
	open := func(count int) {
		for range count {
			user := fmt.Sprintf("user-%d", len(fds)/10)
			fd, err := w.bareClient(address, w.token(user, ""), fmt.Sprintf("device-%d", len(fds)))
			if fd != 0 {
				fds = append(fds, fd)
			}
			if err != nil {
				t.Fatalf("connection %d: %v", len(fds), err)
			}
		}
	}
	open(100) // pools and maps are warm
	var before, after runtime.MemStats
	residentBefore := residentBytes(t)
	runtime.ReadMemStats(&before)
	open(n)
	eventually(t, "readers are idle", func() bool {
		for _, c := range w.sockets.list(nil) {
			if !c.small.Load() {
				return false
			}
		}
		return true
	})
	residentAfter := residentBytes(t)
	runtime.ReadMemStats(&after)
	per := func(a, b uint64) float64 { return float64(int64(a)-int64(b)) / float64(n) }
	return float64(residentAfter-residentBefore) / float64(n), per(after.HeapAlloc, before.HeapAlloc), per(after.StackInuse, before.StackInuse)
}

// idleWorld is a real server that gives memory back soon, with users enough for n connections of ten devices each.
func idleWorld(t testing.TB, n int) *world {
	w := realWorld(t, func(c *Config) { c.HeartbeatMs, c.StackIdle = 1<<30, 50*time.Millisecond })
	for i := range (n+100)/10 + 1 {
		w.do(&core.UpsertUser{User: tidemark.UserID(fmt.Sprintf("user-%d", i))})
	}
	return w
}

func TestIdleConnectionIsSmall(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector multiplies memory")
	}
	const n = 2000
	resident, heap, stack := idleCost(t, idleWorld(t, n), n)
	t.Logf("an idle connection costs %.0f bytes resident: heap %.0f, stack %.0f", resident, heap, stack)
	if heap+stack > idleBytesMax {
		t.Errorf("an idle connection costs %.0f bytes of heap and %.0f of stack, together more than %d", heap, stack, idleBytesMax)
	}
}

// BenchmarkIdle prints the cost of one connection among 9,000: both ends are files of this process.
func BenchmarkIdle(b *testing.B) {
	var limit syscall.Rlimit
	const n = 9000
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 2*n+500 {
		b.Skipf("%d open files allowed", limit.Cur)
	}
	w := idleWorld(b, n)
	for b.Loop() {
		resident, heap, stack := idleCost(b, w, n)
		b.ReportMetric(resident, "residentB/conn")
		b.ReportMetric(heap, "heapB/conn")
		b.ReportMetric(stack, "stackB/conn")
	}
}
