import react from '@vitejs/plugin-react';
import { defineConfig, loadEnv } from 'vite';

export default defineConfig(({ mode }) => {
  const { MAMBA_URL = 'http://localhost:8000' } = loadEnv(mode, '.', 'MAMBA_URL');
  return { plugins: [react()], server: { proxy: { '/chat': MAMBA_URL } } };
});
