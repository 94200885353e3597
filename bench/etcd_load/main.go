// Load on an etcd cluster: some clients put or get keys for some seconds, each waiting for its answer before it asks again.
//
//	workload       request
//	put            a put of a random key
//	get            a linearizable get of a random key
//	serializable   a get of a random key, answered by the member that is asked
//	fill           a put of every key, once
//
// Puts and linearizable gets go to the leader, serializable gets to all members in turn: what is fastest for etcd. The same as
// barn_client.py does with the Barn. Prints one JSON object: what was done after the warm-up, how long it took, and what this
// process used of the processors, which tells whether the client is the limit.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand"
	"os"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/clientv3"
	"google.golang.org/grpc/grpclog"
)

const withinLimit = 10 * time.Second

type load struct {
	workload string
	keys     int
	value    string
}

// taken is what one run of a load gave; times of requests in nanoseconds.
type taken struct {
	Operations int     `json:"operations"`
	Seconds    float64 `json:"seconds"`
	P50Ms      float64 `json:"p50_ms"`
	P99Ms      float64 `json:"p99_ms"`
	CPUSeconds float64 `json:"cpu_s"`
}

func main() {
	endpoints := flag.String("endpoints", "", "client addresses of the members, with commas between them")
	workload := flag.String("workload", "put", "put, get, serializable or fill")
	clients := flag.Int("clients", 1, "how many ask at once")
	connections := flag.Int("connections", 1, "connections that they share")
	warmup := flag.Duration("warmup", time.Second, "before anything is counted")
	duration := flag.Duration("duration", 5*time.Second, "for how long it is counted")
	keys := flag.Int("keys", 10000, "how many keys there are")
	valueBytes := flag.Int("value-bytes", 100, "size of a value")
	flag.Parse()
	clientv3.SetLogger(grpclog.NewLoggerV2(io.Discard, io.Discard, os.Stderr)) // a connection that we close is no warning

	members := strings.Split(*endpoints, ",")
	if *workload != "serializable" {
		members = []string{leader(members)}
	}
	connected := make([]*clientv3.Client, *connections)
	for place := range connected {
		connected[place] = connect(members[place%len(members)])
		defer connected[place].Close()
	}
	one := load{*workload, *keys, strings.Repeat("v", *valueBytes)}
	if *workload == "fill" {
		fill(one, connected, *clients)
		return
	}
	result := run(one, connected, *clients, *warmup, *duration)
	if err := json.NewEncoder(os.Stdout).Encode(result); err != nil {
		log.Fatal(err)
	}
}

func connect(member string) *clientv3.Client {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{member}, DialTimeout: withinLimit})
	if err != nil {
		log.Fatal(err)
	}
	return client
}

// leader returns the address of the member that leads.
func leader(members []string) string {
	for _, member := range members {
		client := connect(member)
		ctx, cancel := context.WithTimeout(context.Background(), withinLimit)
		status, err := client.Status(ctx, member)
		cancel()
		client.Close()
		if err != nil {
			log.Fatal(err)
		}
		if status.Leader == status.Header.MemberId {
			return member
		}
	}
	log.Fatal("nobody leads")
	return ""
}

func (l load) key(number int) string {
	return fmt.Sprintf("/bench/%08d", number)
}

func (l load) ask(client *clientv3.Client, key string) error {
	ctx, cancel := context.WithTimeout(context.Background(), withinLimit)
	defer cancel()
	var err error
	switch l.workload {
	case "put", "fill":
		_, err = client.Put(ctx, key, l.value)
	case "get":
		_, err = client.Get(ctx, key)
	case "serializable":
		_, err = client.Get(ctx, key, clientv3.WithSerializable())
	default:
		err = fmt.Errorf("no such workload: %s", l.workload)
	}
	return err
}

func fill(one load, connected []*clientv3.Client, clients int) {
	var next int64 = -1
	together(clients, func(number int) {
		for key := atomic.AddInt64(&next, 1); key < int64(one.keys); key = atomic.AddInt64(&next, 1) {
			if err := one.ask(connected[number%len(connected)], one.key(int(key))); err != nil {
				log.Fatal(err)
			}
		}
	})
}

func run(one load, connected []*clientv3.Client, clients int, warmup, duration time.Duration) taken {
	began := time.Now().Add(warmup)
	ends := began.Add(duration)
	times := make([][]time.Duration, clients)
	cpu := make(chan float64, 1)
	time.AfterFunc(warmup, func() { cpu <- cpuSeconds() })
	together(clients, func(number int) {
		random := rand.New(rand.NewSource(int64(number)))
		client := connected[number%len(connected)]
		for asked := time.Now(); asked.Before(ends); {
			if err := one.ask(client, one.key(random.Intn(one.keys))); err != nil {
				log.Fatal(err)
			}
			answered := time.Now()
			if !asked.Before(began) {
				times[number] = append(times[number], answered.Sub(asked))
			}
			asked = answered
		}
	})
	return summed(times, time.Since(began), cpuSeconds()-<-cpu)
}

func summed(times [][]time.Duration, lasted time.Duration, cpu float64) taken {
	all := []time.Duration{}
	for _, some := range times {
		all = append(all, some...)
	}
	if len(all) == 0 {
		log.Fatal("nothing was answered")
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	at := func(share float64) float64 {
		return all[int(share*float64(len(all)-1))].Seconds() * 1000
	}
	return taken{len(all), lasted.Seconds(), at(0.5), at(0.99), cpu}
}

func together(clients int, each func(number int)) {
	var group sync.WaitGroup
	for number := 0; number < clients; number++ {
		group.Add(1)
		go func(number int) {
			defer group.Done()
			each(number)
		}(number)
	}
	group.Wait()
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
