// Times MPI's collectives, as collectives_local.cpp does the local communicator's. usage, under mpirun: collectives_mpi SECONDS KIND,... BYTES...
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPEATS = 16, MAX_STEPS = 2000 };

static int rank, ranks;
static float *from, *to;

static void once(const char *kind, int elements) {
  int part = elements / ranks, next = (rank + 1) % ranks, previous = (rank + ranks - 1) % ranks;
  if (!strcmp(kind, "all_reduce")) {
    MPI_Allreduce(from, to, elements, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  } else if (!strcmp(kind, "all_gather")) {
    MPI_Allgather(from, part, MPI_FLOAT, to, part, MPI_FLOAT, MPI_COMM_WORLD);
  } else if (!strcmp(kind, "reduce_scatter")) {
    MPI_Reduce_scatter_block(from, to, part, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  } else if (!strcmp(kind, "all_to_all")) {
    MPI_Alltoall(from, part, MPI_FLOAT, to, part, MPI_FLOAT, MPI_COMM_WORLD);
  } else if (!strcmp(kind, "permute")) {
    MPI_Sendrecv(from, elements, MPI_FLOAT, next, 0, to, elements, MPI_FLOAT, previous, 0, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
  } else if (!strcmp(kind, "halo")) {
    int width = elements / 16, left = rank > 0 ? rank - 1 : MPI_PROC_NULL,
        right = rank + 1 < ranks ? rank + 1 : MPI_PROC_NULL;
    MPI_Request requests[4];
    MPI_Irecv(to, width, MPI_FLOAT, left, 0, MPI_COMM_WORLD, &requests[0]);
    MPI_Irecv(to + width + elements, width, MPI_FLOAT, right, 1, MPI_COMM_WORLD, &requests[1]);
    MPI_Isend(from + elements - width, width, MPI_FLOAT, right, 0, MPI_COMM_WORLD, &requests[2]);
    MPI_Isend(from, width, MPI_FLOAT, left, 1, MPI_COMM_WORLD, &requests[3]);
    if (left == MPI_PROC_NULL)
      memset(to, 0, width * sizeof *to);
    if (right == MPI_PROC_NULL)
      memset(to + width + elements, 0, width * sizeof *to);
    memcpy(to + width, from, elements * sizeof *to);
    MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
  } else {
    fprintf(stderr, "error: no collective '%s'\n", kind);
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
}

static double step(const char *kind, int elements) {
  MPI_Barrier(MPI_COMM_WORLD);
  double start = MPI_Wtime();
  for (int i = 0; i < REPEATS; ++i)
    once(kind, elements);
  double mine = MPI_Wtime() - start, slowest;
  MPI_Allreduce(&mine, &slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
  return slowest;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void measure(const char *kind, long bytes, double seconds) {
  static double times[MAX_STEPS];
  int elements = bytes / sizeof(float);
  size_t room = (bytes + bytes / 8 + 64);
  from = malloc(room);
  to = malloc(room);
  memset(from, 1, room); // not 0: the compiler would call calloc, whose pages are all the same one and always in the cache
  memset(to, 1, room);
  for (int i = 0; i < 3; ++i)
    times[i] = step(kind, elements);
  double wanted = seconds / times[2];
  int steps = wanted < 3 ? 3 : wanted > MAX_STEPS ? MAX_STEPS : (int)wanted;
  for (int i = 0; i < steps; ++i)
    times[i] = step(kind, elements);
  qsort(times, steps, sizeof *times, compare);
  if (rank == 0) {
    printf("%s %ld %.9f\n", kind, bytes, times[steps / 2] / REPEATS);
    fflush(stdout);
  }
  free(from);
  free(to);
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (argc < 4)
    MPI_Abort(MPI_COMM_WORLD, 2);
  for (char *kind = strtok(argv[2], ","); kind; kind = strtok(NULL, ","))
    for (int i = 3; i < argc; ++i)
      measure(kind, atol(argv[i]), atof(argv[1]));
  MPI_Finalize();
  return 0;
}
