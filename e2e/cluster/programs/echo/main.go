// Package main is the application of the tests: it says in JSON what it was asked and which Pod answers.
//
//	echo [-http :8080] [-tls :8443 -cert FILE -key FILE] [-tcp :9000] [-udp :9000]
//	echo -get URL
//
// -http also takes unix:/PATH. /status/N answers with N, /slow/MS after so many milliseconds, /ready says whether it is not
// ending, /datagrams which datagrams came, one a line; /say/HOST:PORT?TEXT sends a line over TCP. On SIGTERM it goes on
// serving for -linger, as an application must until every proxy knows. With -get it asks once and ends, as a Job does.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type answer struct {
	Pod       string              `json:"pod"`
	Version   string              `json:"version"`
	Service   string              `json:"service"`
	Method    string              `json:"method"`
	Path      string              `json:"path"`
	Host      string              `json:"host"`
	Protocol  string              `json:"protocol"`
	TLS       bool                `json:"tls"`
	Headers   map[string][]string `json:"headers"`
	BodyBytes int64               `json:"bodyBytes"`
}

var ending atomic.Bool

// What came by UDP; the oldest are forgotten.
var arrived struct {
	sync.Mutex
	datagrams []string
}

const keptDatagrams = 1000

// say is what an application does with its StatsD client: one line to a port of its own machine.
func say(w http.ResponseWriter, r *http.Request) {
	connection, err := net.DialTimeout("tcp", strings.TrimPrefix(r.URL.Path, "/say/"), 5*time.Second)
	if err == nil {
		defer connection.Close()
		_, err = io.WriteString(connection, r.URL.RawQuery+"\n")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
	}
}

func showDatagrams(w http.ResponseWriter, _ *http.Request) {
	arrived.Lock()
	defer arrived.Unlock()
	for _, datagram := range arrived.datagrams {
		fmt.Fprintln(w, datagram)
	}
}

// dispatch is no ServeMux: that would redirect unusual paths, and the tests want to see them.
func dispatch(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/say/"):
		say(w, r)
	case r.URL.Path == "/datagrams":
		showDatagrams(w, r)
	default:
		serve(w, r)
	}
}

func listen(address string) (net.Listener, error) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	if !isUnix {
		return net.Listen("tcp", address)
	}
	listener, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o660) // for the group of the Pod's volumes
	}
	return listener, err
}

// get is the work of a Job: one request, and how it went as the exit status.
func get(url string) error {
	answer, err := http.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	fmt.Printf("%s %s\n", answer.Status, body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", url, answer.Status)
	}
	return err
}

func serve(w http.ResponseWriter, r *http.Request) {
	size, _ := io.Copy(io.Discard, r.Body)
	code := http.StatusOK
	if text, found := strings.CutPrefix(r.URL.Path, "/status/"); found {
		if n, err := strconv.Atoi(text); err == nil && n >= 200 && n <= 599 {
			code = n
		}
	}
	if text, found := strings.CutPrefix(r.URL.Path, "/slow/"); found {
		if n, err := strconv.Atoi(text); err == nil {
			time.Sleep(time.Duration(n) * time.Millisecond)
		}
	}
	if r.URL.Path == "/ready" && ending.Load() {
		code = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Pod", os.Getenv("POD_NAME"))
	w.WriteHeader(code)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.Encode(answer{
		Pod: os.Getenv("POD_NAME"), Version: os.Getenv("VERSION"), Service: os.Getenv("SERVICE"), Method: r.Method,
		Path: r.RequestURI, Host: r.Host, Protocol: r.Proto, TLS: r.TLS != nil, Headers: r.Header, BodyBytes: size,
	})
}

func echoStream(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer connection.Close()
			fmt.Fprintf(connection, "%s\n", os.Getenv("POD_NAME"))
			io.Copy(connection, connection)
		}()
	}
}

func echoDatagrams(address string) {
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		log.Fatal(err)
	}
	buffer := make([]byte, 65536)
	for {
		n, from, err := socket.ReadFrom(buffer)
		if err == nil {
			arrived.Lock()
			arrived.datagrams = append(arrived.datagrams, string(buffer[:n]))
			if len(arrived.datagrams) > keptDatagrams {
				arrived.datagrams = arrived.datagrams[1:]
			}
			arrived.Unlock()
			socket.WriteTo(buffer[:n], from)
		}
	}
}

func main() {
	plain := flag.String("http", ":8080", "address")
	secure := flag.String("tls", "", "address; needs -cert and -key")
	certificate := flag.String("cert", "", "file")
	key := flag.String("key", "", "file")
	stream := flag.String("tcp", "", "address of an echo that names the Pod first")
	datagram := flag.String("udp", "", "address of an echo")
	linger := flag.Duration("linger", 5*time.Second, "how long it serves after SIGTERM")
	once := flag.String("get", "", "URL to ask once, instead of serving")
	flag.Parse()

	if *once != "" {
		if err := get(*once); err != nil {
			log.Fatal(err)
		}
		return
	}
	server := &http.Server{Handler: http.HandlerFunc(dispatch)}
	listener, err := listen(*plain)
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	if *secure != "" {
		listener, err := net.Listen("tcp", *secure)
		if err != nil {
			log.Fatal(err)
		}
		go func() { log.Print(server.ServeTLS(listener, *certificate, *key)) }()
	}
	if *stream != "" {
		go echoStream(*stream)
	}
	if *datagram != "" {
		go echoDatagrams(*datagram)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	<-signals
	ending.Store(true)
	time.Sleep(*linger)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	server.Shutdown(ctx)
}
