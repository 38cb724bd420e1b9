// A broker in the shape that many services grow by hand: one goroutine and one buffered channel a
// client, a hub that hands every event to every channel. It is the peer that stands for "I would
// write this myself in an afternoon", tuned as far as that shape allows: one encoding an event, no
// lock in the hub, a flush only when the channel is empty.
package main

import (
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
)

const queueLength = 4096

type publish struct {
	frame []byte
	done  chan struct{}
}

type hub struct {
	joins     chan chan []byte
	leaves    chan chan []byte
	publishes chan publish
}

func (h *hub) run() {
	clients := make(map[chan []byte]struct{})
	for {
		select {
		case c := <-h.joins:
			clients[c] = struct{}{}
		case c := <-h.leaves:
			delete(clients, c)
		case p := <-h.publishes:
			for c := range clients {
				// A full queue holds everyone up: this broker loses nothing either.
				c <- p.frame
			}
			close(p.done)
		}
	}
}

func (h *hub) stream(w http.ResponseWriter, r *http.Request) {
	flusher := w.(http.Flusher)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	events := make(chan []byte, queueLength)
	h.joins <- events
	w.WriteHeader(http.StatusOK)
	flusher.Flush()
	gone := r.Context().Done()
	for {
		select {
		case frame := <-events:
			if _, err := w.Write(frame); err != nil {
				h.part(events)
				return
			}
			if len(events) == 0 {
				flusher.Flush()
			}
		case <-gone:
			h.part(events)
			return
		}
	}
}

// part leaves the hub, which may be waiting for room in this very queue meanwhile.
func (h *hub) part(events chan []byte) {
	for {
		select {
		case h.leaves <- events:
			return
		case <-events:
		}
	}
}

func (h *hub) broadcast(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	frame := make([]byte, 0, len(body)+8)
	frame = append(frame, "data: "...)
	frame = append(frame, body...)
	frame = append(frame, "\n\n"...)
	p := publish{frame, make(chan struct{})}
	h.publishes <- p
	<-p.done
	w.WriteHeader(http.StatusOK)
}

func main() {
	port := flag.Int("port", 8080, "where to listen, on 127.0.0.1")
	flag.Parse()
	h := &hub{make(chan chan []byte), make(chan chan []byte), make(chan publish)}
	go h.run()
	http.HandleFunc("/stream", h.stream)
	http.HandleFunc("/broadcast", h.broadcast)
	listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(*port))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.Serve(listener, nil))
}
