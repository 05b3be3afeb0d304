"""A run queue of tasks: classes, methods, a heap and exceptions."""

import heapq


class Blocked(Exception):
    pass


class Task:
    def __init__(self, number, weight):
        self.number, self.weight, self.credit, self.runs = number, weight, 0, 0

    def __lt__(self, other):
        return (self.credit, self.number) < (other.credit, other.number)

    def run(self):
        self.runs += 1
        self.credit += 1000 // self.weight
        if self.runs % 5 == 0:
            raise Blocked(self.number)


queue = [Task(i, 1 + i % 8) for i in range(50)]
heapq.heapify(queue)
blocked = 0
for _ in range(15000):
    task = heapq.heappop(queue)
    try:
        task.run()
    except Blocked:
        blocked += 1
    heapq.heappush(queue, task)
print(blocked, sorted((t.number, t.runs) for t in queue)[:5])
